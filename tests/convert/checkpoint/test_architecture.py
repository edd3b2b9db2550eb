import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from aves_artifacts.base.errors import InputError
from aves_convert.checkpoint.architecture import architecture
from aves_convert.checkpoint.checkpoint import Checkpoint

HUGE = ["x" * 1_000_000] * 100  # as a stream can write it in a megabyte: one text, mentioned many times


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ({"_name": HUGE}, {}),
        ({"_name": "hubert", "encoder_embed_dim": HUGE}, {}),
        ({"_name": "hubert", "layer_type": HUGE}, {}),
        ({"_name": "hubert", "activation_fn": HUGE}, {}),
        ({"_name": "hubert_ctc", "w2v_path": HUGE}, {}),
        ({"_name": "hubert"}, {"sample_rate": HUGE}),
    ],
)
def test_a_huge_setting_is_told_in_a_few_words(model: dict[str, Any], task: dict[str, Any]) -> None:
    checkpoint = Checkpoint(Path("x.pt"), model, task, {})
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"\[\.\.\.\]") as caught:
            architecture(checkpoint)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 500
