"""ONNX Runtime's answers to input that is not as it should be, as docs/use-a-port.md quotes them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from aves_convert.conversion.convert import fairseq_to_onnx
from aves_convert.conversion.request import Source

PAGE = (Path(__file__).parents[3] / "docs" / "use-a-port.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(np\.zeros\(.*?\))`: (.*?) \| (.*?) \|$", PAGE, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def session(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> onnxruntime.InferenceSession:
    """A graph with the receptive field and hop of AVES."""
    graph = fairseq_to_onnx(Source(tiny_checkpoint), tmp_path_factory.mktemp("graph") / "x.onnx")
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


def test_the_page_tells_of_every_kind() -> None:
    assert len(ROWS) == 6


@pytest.mark.parametrize(("waveform", "kind", "answer"), ROWS, ids=[kind for _, kind, _ in ROWS])
def test_the_answer_is_the_pages(waveform: str, kind: str, answer: str, session: onnxruntime.InferenceSession) -> None:
    given = eval(waveform, {"np": np})  # noqa: S307 - our own page
    if answer.startswith("no error: two mono clips"):
        assert session.run(None, {"waveform": given})[0].shape == (2, 49, 24)
        return
    with pytest.raises(Exception, match=re.escape(answer.strip("`"))):
        session.run(None, {"waveform": given})
    if kind == "shorter than a frame":  # and one sample more is a frame
        assert session.run(None, {"waveform": np.zeros((1, 400), np.float32)})[0].shape == (1, 1, 24)
