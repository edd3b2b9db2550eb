"""Graphs of a fixed shape are verified on sounds of their length, and looked into."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import onnx
import pytest
from tests.support.comparisons import of_clips
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, weights
from tests.verify.faults.graph_edits import set_weight

from aves_artifacts.base.errors import InputError
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.graph.options import OnnxOptions
from aves_verify.backends.backend import IMPLEMENTATIONS, Given
from aves_verify.backends.separate import SeparateBackend
from aves_verify.corpus.windows import Cutting
from aves_verify.loading.load import Loaded, load
from aves_verify.recipes.verifying import check_fits
from aves_verify.report.report import ConfigReport
from aves_verify.subjects.subject import of_bundle
from aves_verify.verification.plan import Plan
from aves_verify.verification.recording import make_recording
from aves_verify.verification.self_description import fixed_samples
from aves_verify.verification.verify import verify_subject

pytestmark = pytest.mark.slow
SAMPLES = 5_000
BIAS = "encoder.transformer.layers.1.attention.out_proj.bias"


def verified(
    checkpoint: Path, folder: Path, batch: int, *, damage: bool = False, explain: bool = False
) -> ConfigReport:
    bundle = make_bundle(Source(checkpoint), Target(folder, "x"), OnnxOptions(fixed_shape=(batch, SAMPLES)))
    if damage:
        model = onnx.load(bundle.path("onnx"))
        set_weight(model, BIAS, lambda a: a * 2)
        onnx.save(model, bundle.path("onnx"))
    backends = ("fairseq", "torchaudio", "onnx", "openvino")
    return verify_subject(of_bundle(bundle.folder, checkpoint), Plan(backends=backends, explain=explain))


@pytest.mark.parametrize("batch", [1, 2])
def test_a_graph_of_one_shape_passes_and_what_it_ran_on_is_told(
    batch: int, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    report = verified(tiny_checkpoint, tmp_path / "b", batch)
    assert report.passed, report.problems
    assert {c.status for c in of_clips(report.comparisons)} == {"pass"}
    assert report.ran is not None
    assert (report.ran.samples, report.ran.frames) == ((SAMPLES, SAMPLES), (15, 15))
    assert (
        f"every sound was cut to {SAMPLES} samples or repeated up to them: a port takes no other number" in report.notes
    )
    looked_at = [audit.backend for audit in report.audits]
    assert looked_at == (["onnx"] if batch == 1 else [])
    told = "onnx: what is inside was not looked at: it takes 2 waveforms at once"
    assert (told in report.notes) == (batch == 2)


def test_a_fault_in_it_is_found_and_explained(tiny_checkpoint: Path, tmp_path: Path) -> None:
    report = verified(tiny_checkpoint, tmp_path / "b", 1, damage=True, explain=True)
    assert {c.backend for c in report.comparisons if c.status == "fail"} == {"onnx", "openvino"}
    (text,) = (each.text for each in report.explanations if each.backend == "onnx")
    assert "layer 1, output projection" in text


def test_a_recording_has_no_answer_for_what_is_cut(tiny_checkpoint: Path, tmp_path: Path) -> None:
    bundle = make_bundle(Source(tiny_checkpoint), Target(tmp_path / "b", "x"), OnnxOptions(fixed_shape=(1, SAMPLES)))
    subject = of_bundle(bundle.folder, tiny_checkpoint)
    make_recording(subject, "torchaudio", None, tmp_path / "recording", layers="last")
    held = dataclasses.replace(subject, fairseq=None, recording=tmp_path / "recording")
    with pytest.raises(InputError, match=rf"recording: was recorded of sounds as they are, and onnx takes {SAMPLES}"):
        verify_subject(held, Plan(backends=("fairseq", "onnx")))


def test_windows_of_a_corpus_are_heard_to_their_end(tiny_checkpoint: Path, tmp_path: Path) -> None:
    bundle = make_bundle(Source(tiny_checkpoint), Target(tmp_path / "b", "x"), OnnxOptions(fixed_shape=(1, SAMPLES)))
    loaded = load(of_bundle(bundle.folder, tiny_checkpoint), ("torchaudio", "onnx"))
    check_fits(loaded, Cutting(SAMPLES / 16_000, 1.0), deep=False)
    with pytest.raises(InputError, match=r"window of 0.32 s is longer than the 5000 samples .*give `window` 0.3125"):
        check_fits(loaded, Cutting(0.32, 1.0), deep=False)


def test_two_ports_of_different_lengths_are_refused_in_one_line(tmp_path: Path) -> None:
    ports = []
    for name, samples in (("onnx", 4_000), ("openvino", SAMPLES)):
        path, row = tmp_path / f"{name}.onnx", IMPLEMENTATIONS[name]
        onnx.save(encoder_graph(TINY, weights(TINY), OnnxOptions(fixed_shape=(1, samples))), path)
        ports.append(SeparateBackend(row, Given(path, TINY, row.chosen({}))))
    loaded = Loaded(tuple(ports), None, TINY, normalize=False, problems=(), weights={})
    told = r"onnx takes 4000 samples, openvino takes 5000 samples; .*`backends`"
    with pytest.raises(InputError, match=told) as caught:
        fixed_samples(loaded)
    assert len(str(caught.value).splitlines()) == 1
    assert fixed_samples(dataclasses.replace(loaded, backends=loaded.backends[1:])) == SAMPLES
