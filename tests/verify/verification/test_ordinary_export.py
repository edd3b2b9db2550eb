"""What the ordinary export does to recordings with a constant offset, and that the report says so."""

from pathlib import Path

import numpy as np
import pytest

from aves_convert.conversion.convert import fairseq_to_onnx
from aves_convert.conversion.request import Source
from aves_convert.conversion.stand_in import write_stand_in
from aves_convert.graph.options import OnnxOptions
from aves_convert.sounds.clip import Clip
from aves_convert.sounds.signals import reference_signals
from aves_verify.report.report import ConfigReport
from aves_verify.subjects.subject import of_files
from aves_verify.verification.plan import Plan
from aves_verify.verification.verify import verify_subject

pytestmark = pytest.mark.slow


def with_offset(name: str, offset: float) -> Clip:
    """A reference signal as a bad sound card records it."""
    signal = next(clip for clip in reference_signals() if clip.name == name)
    waveform = (np.float32(0.6) * signal.waveform + np.float32(offset)).astype(np.float32)
    return Clip(f"{name} with an offset of {offset}", waveform, "synthesised")


CLIP = with_offset("bark", 0.2)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("all") / "all.pt"
    write_stand_in("all", path, geometry="tiny")
    return path


def verified(checkpoint: Path, folder: Path, options: OnnxOptions) -> ConfigReport:
    graph = fairseq_to_onnx(Source(checkpoint), folder / "all.onnx", options)
    return verify_subject(of_files(checkpoint, None, None, graph), Plan((CLIP,), ("fairseq", "onnx"), explain=True))


def test_the_ordinary_export_drifts_near_zero_and_its_group_norm_is_named(checkpoint: Path, tmp_path: Path) -> None:
    report = verified(checkpoint, tmp_path, OnnxOptions(exporter="torch"))
    assert report.passed
    drifting = {c.clip: c for c in report.comparisons if c.status == "near-zero drift"}
    assert CLIP.name in drifting
    for comparison in drifting.values():
        assert comparison.near_zero is not None
        assert comparison.near_zero.flagged > 0
        assert "more than the original has itself" in comparison.reason
    (explanation,) = report.explanations
    assert explanation.first is not None
    assert (explanation.first.stage, explanation.first.operator) == ("conv block 0", "group norm")
    assert "aves-convert's own exporter" in explanation.text


def test_our_graph_is_clean_on_the_same(checkpoint: Path, tmp_path: Path) -> None:
    report = verified(checkpoint, tmp_path, OnnxOptions())
    assert report.passed
    assert {c.status for c in report.comparisons} == {"pass"}
    assert all(c.near_zero is not None and c.near_zero.flagged == 0 for c in report.comparisons)
    assert [e.first for e in report.explanations] == [None]
