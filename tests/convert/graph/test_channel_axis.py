"""A graph for waveforms [batch, 1, samples], and the tools that give them so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from tests.convert.graph.test_outputs import WAYS, made_heads
from tests.support.heads import SMALL, checkpoint
from tests.support.tiny_encoders import TINY, clip, run, weights

from aves_artifacts.bundle.check import check_bundle
from aves_convert.checkpoint.architecture import architecture
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.convert import fairseq_to_onnx
from aves_convert.conversion.request import Source, Target
from aves_convert.graph.build import write_graph
from aves_convert.graph.options import OnnxOptions
from aves_convert.inspection.identify import inspect
from aves_convert.sounds.signals import reference_signals
from aves_convert.weights.heads import heads_of
from aves_verify.backends.fairseq_hubert import FairseqBackend
from aves_verify.subjects.subject import of_bundle
from aves_verify.verification.plan import Plan
from aves_verify.verification.verify import verify_subject

OUTPUTS = ("layer.1.projection", "embeddings")


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_numbers_are_those_without_the_axis(way: dict[str, Any]) -> None:
    plain, channel = (
        write_graph(TINY, weights(TINY), OnnxOptions(outputs=OUTPUTS, channel_axis=axis, **way), heads=made_heads())
        for axis in (False, True)
    )
    wave = clip(700, 2)
    for one, other in zip(run(plain, wave).values(), run(channel, wave[:, None]).values(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(InvalidArgument):
        run(channel, wave)
    with pytest.raises(InvalidArgument):
        run(channel, wave[:, None].expand(2, 2, 700).contiguous())


class Extractor:
    """How tools of voice conversion read such a file, as their programs tell: by position, and by no name."""

    def __init__(self, path: Path) -> None:
        self.model = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def __call__(self, mono: torch.Tensor) -> torch.Tensor:
        given = mono.reshape(1, 1, -1).numpy()
        (units, *_) = self.model.run(None, {self.model.get_inputs()[0].name: given})
        return torch.tensor(units).transpose(1, 2)  # [1, numbers, frames]


@pytest.mark.parametrize(
    ("outputs", "numbers"),
    [("layer.1.projection", 8), ("layer.1", 24), ("layer.2.projection", 8), ("layer.2", 24)],
)
def test_the_four_files_of_voice_conversion_come_out_of_one_checkpoint(
    outputs: str, numbers: int, tmp_path: Path
) -> None:
    path, wave = checkpoint(tmp_path / "x.pt", SMALL), clip(4000)
    options = OnnxOptions(outputs=(outputs,), channel_axis=True)
    found = Extractor(fairseq_to_onnx(Source(path), tmp_path / "vec.onnx", options))(wave[0])
    read = read_checkpoint(path)
    original = FairseqBackend(read, heads_of(read, architecture(read))).run(wave.numpy(), layers=True)[outputs]
    assert found.shape[1] == numbers
    np.testing.assert_allclose(found.transpose(1, 2), original, atol=2e-5)


@pytest.mark.parametrize("fixed", [None, (1, 2000)])
def test_such_a_bundle_is_checked_inspected_and_verified(fixed: tuple[int, int] | None, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt")
    options = OnnxOptions(outputs=("layer.1.projection",), channel_axis=True, fixed_shape=fixed)
    made = make_bundle(Source(path), Target(tmp_path / "b", "x"), options)
    assert check_bundle(made.folder).problems == ()
    assert "np.zeros((1, 1, 16_000)" in (made.folder / "README.md").read_text()
    assert inspect(made.path("onnx")).problems == ()
    clips = tuple(clip for clip in reference_signals() if clip.name in ("chirp", "odd_frames"))
    report = verify_subject(of_bundle(made.folder, path), Plan(clips, ("fairseq", "onnx", "openvino"), explain=True))
    assert report.passed, (report.problems, [c.reason for c in report.comparisons if c.status == "fail"])


def test_a_graph_that_says_otherwise_than_its_manifest_is_told(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt")
    made = make_bundle(Source(path), Target(tmp_path / "b", "x"), OnnxOptions(channel_axis=True))
    other = make_bundle(Source(path), Target(tmp_path / "c", "x"))
    made.path("onnx").write_bytes(other.path("onnx").read_bytes())
    assert check_bundle(made.folder).problems != ()
