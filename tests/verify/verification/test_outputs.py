"""Outputs by name, from the checkpoint to the verdict: fairseq itself gives each, and nothing else passes for it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tests.support.heads import PRE_NORM, SMALL, TWO, UNTIED, centroids, checkpoint, heads

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.attach import attach_report
from aves_artifacts.bundle.check import check_bundle
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.convert import fairseq_to_onnx
from aves_convert.conversion.request import Source, Target
from aves_convert.graph.options import OnnxOptions
from aves_convert.sounds.signals import reference_signals
from aves_verify.backends.fairseq_hubert import FairseqBackend
from aves_verify.report.json_report import to_json
from aves_verify.report.report import ConfigReport, Report
from aves_verify.subjects.subject import of_bundle, of_files
from aves_verify.verification.plan import Plan
from aves_verify.verification.recording import make_recording
from aves_verify.verification.verify import verify_subject

CLIPS = tuple(clip for clip in reference_signals() if clip.name in ("chirp", "dc_offset", "odd_frames"))
WAVE = np.random.default_rng(0).standard_normal((2, 3210)).astype(np.float32) * 0.1


def layers_of(report: ConfigReport, backend: str) -> set[str]:
    return {comparison.layer for comparison in report.comparisons if comparison.backend == backend}


@pytest.mark.parametrize("model", [SMALL, PRE_NORM], ids=["post-norm", "pre-norm"])
def test_the_reference_is_what_fairseqs_own_methods_give(model: dict[str, object], tmp_path: Path) -> None:
    """``output_layer`` counts from 1; with it a pre-norm encoder leaves its last norm out."""
    path = checkpoint(tmp_path / "x.pt", model, TWO if model.get("untie_final_proj") else ("km",))
    found = heads(path).with_centroids({1: np.load(centroids(tmp_path / "c.npy"))})
    backend = FairseqBackend(read_checkpoint(path), found)
    given, original = backend.run(WAVE, layers=True), backend._model
    with torch.inference_mode():
        for i in range(3):
            features, _ = original.extract_features(torch.tensor(WAVE), output_layer=i + 1)
            np.testing.assert_array_equal(given[f"layer.{i}"], features)
            projected = original.final_proj(features)
            for output, part in zip(found.projections_of(i), projected.chunk(found.projections, dim=-1), strict=True):
                np.testing.assert_array_equal(given[output.name], part)
        final, _ = original.extract_features(torch.tensor(WAVE))
        whole = np.concatenate([given[output.name] for output in found.projections_of(None)], axis=-1)
        np.testing.assert_array_equal(whole, original.final_proj(final))
    assert given["layer.1.units"].shape == given["layer.1"].shape[:2]


@pytest.mark.parametrize(
    ("model", "labels"), [(SMALL, ("km",)), (UNTIED, TWO), (PRE_NORM, TWO)], ids=["tied", "untied", "pre-norm"]
)
def test_a_bundle_with_named_outputs_passes_on_each_of_them(
    model: dict[str, object], labels: tuple[str, ...], tmp_path: Path
) -> None:
    path = checkpoint(tmp_path / "x.pt", model, labels)
    options = OnnxOptions(outputs=("layer.1.projection", "layer.1.units", "layer.0"))
    source = Source(path, centroids={None: centroids(tmp_path / "c.npy")})
    made = make_bundle(source, Target(tmp_path / "b", "x"), options)
    report = verify_subject(of_bundle(made.folder, path), Plan(CLIPS, explain=True))
    assert report.problems == ()
    assert {comparison.status for comparison in report.comparisons} == {"pass"}
    several = len(labels) > 1
    named = {f"layer.1.projection{f'.{i}' if several else ''}" for i in range(len(labels))}
    assert layers_of(report, "onnx") == named | {"layer.1.units", "layer.0"}
    assert layers_of(report, "torchaudio") >= named | {"final", "layer.1.units", "layer.0"}
    flips = [comparison.flips for comparison in report.comparisons if comparison.layer == "layer.1.units"]
    assert sum(flip.frames for flip in flips if flip is not None) > 500
    assert report.weights["onnx"].missing == ()
    document = to_json(_report(report)).encode()
    attach_report(made.folder, document)
    assert check_bundle(made.folder).problems == ()


def _report(config: ConfigReport) -> Report:
    return Report(configs=(config,), environment={"aves-ports": "0"}, total_seconds=1.0)


def test_units_of_a_lone_graph_need_the_centroids(tmp_path: Path) -> None:
    path, given = checkpoint(tmp_path / "x.pt"), centroids(tmp_path / "c.npy")
    source = Source(path, centroids={1: given})
    graph = fairseq_to_onnx(source, tmp_path / "x.onnx", OnnxOptions(outputs=("layer.1.units",)))
    subject, plan = of_files(path, None, None, graph), Plan(CLIPS, backends=("fairseq", "onnx"))
    with pytest.raises(InputError, match=r"gives layer\.1\.units, and there are no centroids"):
        verify_subject(subject, plan)
    with pytest.raises(InputError, match=r"no centroids to compute it from; give `centroids` layer\.N=FILE"):
        verify_subject(dataclasses.replace(subject, centroids={0: given}), plan)
    assert verify_subject(dataclasses.replace(subject, centroids={None: given}), plan).passed
    other = centroids(tmp_path / "other.npy", seed=1)
    assert not verify_subject(dataclasses.replace(subject, centroids={1: other}), plan).passed


def test_a_recording_holds_what_is_made_of_layers(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt")
    graph = fairseq_to_onnx(Source(path), tmp_path / "x.onnx", OnnxOptions(outputs=("layer.1.projection",)))
    subject, plan = of_files(path, None, None, graph), Plan(CLIPS, backends=("fairseq", "onnx"))
    make_recording(subject, "fairseq", CLIPS, tmp_path / "all", layers="all")
    recorded = dataclasses.replace(of_files(None, None, None, graph), recording=tmp_path / "all")
    report = verify_subject(recorded, plan)
    assert report.passed
    assert layers_of(report, "onnx") == {"layer.1.projection"}
    make_recording(subject, "fairseq", CLIPS, tmp_path / "last", layers="last")
    with pytest.raises(InputError, match="only the last layer was recorded"):
        verify_subject(dataclasses.replace(recorded, recording=tmp_path / "last"), plan)


def test_a_recording_stands_for_the_original_of_a_bundle_with_units(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt", UNTIED, TWO)
    options = OnnxOptions(outputs=("layer.1.units", "layer.1.projection", "embeddings"))
    source = Source(path, centroids={None: centroids(tmp_path / "c.npy")})
    made = make_bundle(source, Target(tmp_path / "b", "x"), options)
    make_recording(of_bundle(made.folder, path), "fairseq", CLIPS, tmp_path / "ref", layers="all")
    subject = dataclasses.replace(of_bundle(made.folder), recording=tmp_path / "ref")
    report = verify_subject(subject, Plan(CLIPS))
    assert report.passed, (report.problems, {c.reason for c in report.comparisons if c.status == "fail"})
    assert "layer.1.units" in layers_of(report, "onnx") & layers_of(report, "torchaudio")


def test_ports_alone_are_compared_by_the_heads_that_lie_beside_them(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt", PRE_NORM, TWO)
    source = Source(path, centroids={None: centroids(tmp_path / "c.npy")})
    options = OnnxOptions(outputs=("layer.0.units", "projection", "layer.1.projection.1"))
    made = make_bundle(source, Target(tmp_path / "b", "x"), options)
    files = (None, made.path("torchaudio"), made.path("config"), made.path("onnx"))
    plan = Plan(CLIPS, backends=("torchaudio", "onnx"), explain=True)
    with pytest.raises(InputError, match="and there are no"):
        verify_subject(of_files(*files), plan)
    report = verify_subject(dataclasses.replace(of_files(*files), heads=made.path("heads")), plan)
    assert report.passed, (report.problems, {c.reason for c in report.comparisons if c.status == "fail"})
    assert "units: the centroids are those of the ports themselves: no file of them was given" in report.notes


def test_units_of_a_heads_file_are_compared_though_no_graph_gives_them(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt")
    source = Source(path, centroids={1: centroids(tmp_path / "c.npy")})
    made = make_bundle(source, Target(tmp_path / "b", "x"))
    report = verify_subject(of_bundle(made.folder, path), Plan(CLIPS, backends=("fairseq", "torchaudio")))
    assert report.passed
    assert "layer.1.units" in layers_of(report, "torchaudio")


@pytest.mark.parametrize("entry", ["layer", "dimension", "label_set", "name"])
def test_what_a_file_says_of_its_outputs_must_be_so(entry: str, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt")
    graph = fairseq_to_onnx(Source(path), tmp_path / "x.onnx", OnnxOptions(outputs=("layer.1.projection",)))
    model = onnx.load(graph)
    (said,) = (each for each in model.metadata_props if each.key == "outputs")
    outputs = json.loads(said.value)
    outputs[0][entry] = {"layer": 2, "dimension": 24, "label_set": "phn", "name": "layer.2"}[entry]
    said.value = json.dumps(outputs)
    onnx.save(model, graph)
    report = verify_subject(of_files(path, None, None, graph), Plan(CLIPS, backends=("fairseq", "onnx")))
    assert [problem for problem in report.problems if "says outputs" in problem] != []


def test_every_runtime_is_held_to_the_same_names(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt")
    source = Source(path, centroids={1: centroids(tmp_path / "c.npy")})
    options = OnnxOptions(outputs=("layer.1.projection", "layer.1.units", "embeddings"))
    made = make_bundle(source, Target(tmp_path / "b", "x"), options)
    report = verify_subject(of_bundle(made.folder, path), Plan(CLIPS, backends=("fairseq", "onnx", "openvino")))
    assert report.passed, [c.reason for c in report.comparisons if c.status == "fail"]
    assert layers_of(report, "openvino") == layers_of(report, "onnx") == {*options.outputs[:2], "final"}


def test_what_moves_an_output_is_measured_of_the_same_one_in_all(tmp_path: Path) -> None:
    path, given = checkpoint(tmp_path / "x.pt"), {1: centroids(tmp_path / "c.npy")}
    options = OnnxOptions(outputs=("layer.1.units", "layer.1.projection"))
    graph = fairseq_to_onnx(Source(path, centroids=dict(given)), tmp_path / "x.onnx", options)
    subject = dataclasses.replace(of_files(path, None, None, graph), centroids=dict(given))
    report = verify_subject(subject, Plan(CLIPS, backends=("fairseq", "onnx"), characterise=True))
    moved = {(found.backend, found.change): found.relative for found in report.sensitivities if found.kind == "model"}
    for change in {change for _, change in moved}:
        assert moved["onnx", change] == pytest.approx(moved["fairseq", change], rel=0.1, abs=1e-5)


def test_a_graph_of_all_layers_that_lacks_one_fails(tmp_path: Path) -> None:
    """What was not asked for by name is the original's to say."""
    path = checkpoint(tmp_path / "x.pt")
    graph = fairseq_to_onnx(Source(path), tmp_path / "x.onnx", OnnxOptions(layers="all"))
    model = onnx.load(graph)
    (lost,) = (output for output in model.graph.output if output.name == "layer.1")
    model.graph.output.remove(lost)
    onnx.save(model, graph)
    plan = Plan(CLIPS, backends=("fairseq", "onnx"), layers="all")
    report = verify_subject(of_files(path, None, None, graph), plan)
    assert "fairseq gives layer.1, onnx does not" in {c.reason for c in report.comparisons if c.status == "fail"}


def test_layers_after_the_last_one_are_not_looked_for(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt")
    graph = fairseq_to_onnx(Source(path), tmp_path / "x.onnx", OnnxOptions(outputs=("layer.0",)))
    report = verify_subject(of_files(path, None, None, graph), Plan(CLIPS, backends=("fairseq", "onnx"), explain=True))
    assert report.passed
    assert not [stage for clip in report.audits[0].clips for stage in clip.stages if "layer 1" in stage.stage]
    assert report.weights["onnx"].found == report.weights["onnx"].expected < len(read_checkpoint(path).tensors) - 4
