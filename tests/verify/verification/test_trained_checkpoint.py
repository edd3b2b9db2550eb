"""A genuine checkpoint, as fairseq's own trainer writes it: nothing in it comes from this project's writer."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.trained_checkpoint import CLUSTERS

from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.reading import read_checkpoint
from aves_verify.backends.fairseq_hubert import FairseqBackend
from aves_verify.backends.fairseq_import import import_hubert, quiet

pytestmark = pytest.mark.trainer


@pytest.fixture
def checkpoint(trained: Path) -> Checkpoint:
    return read_checkpoint(trained)


def test_is_read(checkpoint: Checkpoint) -> None:
    assert checkpoint.model_config["_name"] == "hubert"
    assert checkpoint.model_config["encoder_layers"] == 2
    assert checkpoint.model_config["label_rate"] == 50
    assert checkpoint.task_config["normalize"] is (checkpoint.model_config["extractor_mode"] == "layer_norm")
    assert checkpoint.dictionary_sizes == checkpoint.tensors["label_embs_concat"].shape[:1]
    assert CLUSTERS <= checkpoint.dictionary_sizes[0] < CLUSTERS + 8  # fairseq adds its own symbols and fills up
    assert checkpoint.num_updates == 3
    assert checkpoint.has_optimizer_state


@pytest.mark.parametrize("samples", [16_000, 16_320], ids=["odd frames", "even frames"])
def test_runs_as_in_fairseq_own_hands(trained: Path, samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """fairseq's own loader unpickles; this file is our own, so it may."""
    import_hubert()
    load: Any = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: load(*args, **{**kwargs, "weights_only": False}))
    loader = importlib.import_module("fairseq.checkpoint_utils").load_model_ensemble_and_task
    with quiet():
        (original,), _config, _task = loader([str(trained)])
    audio = np.random.default_rng(0).standard_normal((2, samples)).astype(np.float32)

    embeddings = FairseqBackend(read_checkpoint(trained)).run(audio, layers=True)

    with torch.no_grad():
        expected, _ = original.eval().extract_features(torch.from_numpy(audio), padding_mask=None, mask=False)
        layers = [original.extract_features(torch.from_numpy(audio), output_layer=i)[0] for i in (1, 2)]
    np.testing.assert_array_equal(embeddings["final"], expected.numpy())
    np.testing.assert_array_equal(embeddings["layer.0"], layers[0].numpy())
    np.testing.assert_array_equal(embeddings["layer.1"], layers[1].numpy())
