"""The verifier finds what is wrong with a bundle, and says where."""

import copy
import dataclasses
import json
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tests.support.bundles import NAME
from tests.support.comparisons import of_clips
from tests.support.damage import LAYER, Weights, exchange_layers, rewrite, scale

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.file_record import file_record
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import GEOMETRIES, checkpoint_contents, write_stand_in
from aves_convert.graph.options import OnnxOptions
from aves_convert.sounds.clip import Clip, StoredClip
from aves_convert.sounds.signals import reference_signals
from aves_convert.torch_files.writer import write_torch_file
from aves_convert.weights.state_dict import read_state_dict
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.comparison.weights import torchaudio_weights
from aves_verify.report.json_report import to_json
from aves_verify.report.report import ConfigReport
from aves_verify.sounds.memory import needed
from aves_verify.subjects.subject import Subject, of_bundle
from aves_verify.verification.plan import Plan
from aves_verify.verification.recording import make_recording
from aves_verify.verification.run import verify
from aves_verify.verification.verify import verify_subject

pytestmark = pytest.mark.slow

CLIPS = tuple(clip for clip in reference_signals() if clip.name in ("chirp", "shortest", "odd_frames"))


INPUTS = (*(clip.name for clip in CLIPS), "chirp, zero-padded", "batch of 3")


def failures(report: ConfigReport) -> set[tuple[str, str]]:
    return {(c.backend, c.clip) for c in of_clips(report.comparisons) if c.status == "fail"}


@pytest.mark.parametrize("layers", ["last", "all"])
def test_a_good_bundle_passes(subject: Subject, layers: Any) -> None:
    report = verify_subject(subject, Plan(CLIPS, layers=layers))
    assert report.passed
    assert report.reference == "fairseq"
    unasked = 2 * 2  # the graph gives its layers: on one clip they are compared in both ports
    inputs = len(CLIPS) + 2
    projections = inputs  # of the embeddings, by TorchAudio's heads
    expected = inputs * 2 + unasked if layers == "last" else inputs * 2 * 3
    assert len(of_clips(report.comparisons)) == expected + projections
    assert {c.backend for c in report.comparisons} == {"torchaudio", "onnx"}
    for comparison in report.comparisons:
        if comparison.backend == "torchaudio":
            assert comparison.max_abs < 1e-5


def test_a_pre_norm_encoder_passes_with_its_last_norm(tmp_path: Path) -> None:
    entries = {**GEOMETRIES["tiny"], "layer_norm_first": True, "extractor_mode": "layer_norm", "conv_bias": True}
    contents = checkpoint_contents(entries, seed="pre-norm", task={"normalize": True})
    write_torch_file(contents, tmp_path / "x.pt")
    made = make_bundle(Source(tmp_path / "x.pt"), Target(tmp_path / "b", "x"), OnnxOptions(layers="all"))
    assert made.manifest.encoder.normalize is True
    report = verify_subject(of_bundle(tmp_path / "b", tmp_path / "x.pt"), Plan(CLIPS, layers="all"))
    assert report.passed, [c.reason for c in report.comparisons]


@pytest.mark.parametrize(
    "change",
    [
        scale(LAYER.format(1) + "attention.v_proj.weight"),
        scale(LAYER.format(0) + "feed_forward.output_dense.weight"),
        scale("encoder.transformer.pos_conv_embed.conv.weight_g"),
        scale("feature_extractor.conv_layers.3.conv.weight"),
        scale(LAYER.format(1) + "final_layer_norm.bias"),
        exchange_layers,
    ],
)
def test_damaged_torchaudio_weights_fail(
    tiny_checkpoint: Path, bundle: Bundle, change: Callable[[Weights], None]
) -> None:
    rewrite(bundle, change)
    report = verify_subject(of_bundle(bundle.folder, tiny_checkpoint), Plan(CLIPS))
    assert not report.passed
    assert {backend for backend, _ in failures(report)} == {"torchaudio"}
    assert any("torchaudio.pt" in problem for problem in report.problems)
    assert all("difference" in c.reason or "RMS" in c.reason for c in report.comparisons if c.status == "fail")


def test_damage_is_found_by_the_numbers_alone(tiny_checkpoint: Path, bundle: Bundle) -> None:
    """Also where somebody brought the manifest up to date."""
    rewrite(bundle, scale(LAYER.format(1) + "attention.v_proj.weight"))
    records = {**bundle.manifest.files, "torchaudio": file_record(bundle.path("torchaudio"))}
    manifest = dataclasses.replace(bundle.manifest, files=records)
    (bundle.folder / "manifest.json").write_text(manifest.to_json())
    report = verify_subject(of_bundle(bundle.folder, tiny_checkpoint), Plan(CLIPS))
    assert len(report.problems) == 1
    assert "attention.v_proj.weight" in report.problems[0]
    assert failures(report) == {("torchaudio", name) for name in INPUTS}


def test_a_damaged_graph_fails(tiny_checkpoint: Path, bundle: Bundle) -> None:
    model = onnx.load(bundle.path("onnx"))
    weights = (tensor for tensor in model.graph.initializer if tensor.name.endswith(".weight"))
    damaged = max(weights, key=lambda tensor: len(tensor.raw_data))
    values = onnx.numpy_helper.to_array(damaged) * np.float32(1.01)
    damaged.CopyFrom(onnx.numpy_helper.from_array(values, damaged.name))
    onnx.save(model, bundle.path("onnx"))
    report = verify_subject(of_bundle(bundle.folder, tiny_checkpoint), Plan(CLIPS))
    assert {backend for backend, _ in failures(report)} == {"onnx"}


def test_another_checkpoint_is_noticed(tiny_bundle: Bundle, tmp_path: Path) -> None:
    write_stand_in("core", tmp_path / "other.pt", geometry="tiny")
    report = verify_subject(of_bundle(tiny_bundle.folder, tmp_path / "other.pt"), Plan(CLIPS))
    assert not report.passed
    assert any("not the checkpoint that the bundle was made from" in problem for problem in report.problems)
    assert failures(report) == {(b, name) for b in ("torchaudio", "onnx") for name in INPUTS}


def test_a_clip_that_is_too_short_fails_and_the_others_go_on(subject: Subject) -> None:
    short = Clip("short", np.zeros(399, np.float32), "short")
    report = verify_subject(subject, Plan((short, *CLIPS)))
    assert not report.passed
    assert any("399 samples" in problem for problem in report.problems)
    assert {c.clip for c in of_clips(report.comparisons)} == set(INPUTS)


def test_a_clip_that_does_not_fit_into_memory_fails_and_the_others_go_on(
    subject: Subject, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = max(CLIPS, key=lambda clip: clip.samples)
    too_much = Clip("too long", np.zeros(4 * longest.samples, np.float32), "too long")
    room = needed(EncoderConfig.read(tiny_bundle.folder / f"{NAME}.torchaudio.model_config.json"), longest.samples)
    monkeypatch.setattr("aves_verify.verification.verify.available", lambda: room)
    report = verify_subject(subject, Plan((too_much, *CLIPS)))
    assert not report.passed
    (problem,) = report.problems
    assert re.search(r"too long: its .* s would take about .* enough for", problem)
    assert {c.clip for c in of_clips(report.comparisons)} == set(INPUTS)


def test_every_layers_output_has_to_fit_too(
    subject: Subject, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = max(CLIPS, key=lambda clip: clip.samples)
    room = needed(EncoderConfig.read(tiny_bundle.folder / f"{NAME}.torchaudio.model_config.json"), longest.samples)
    monkeypatch.setattr("aves_verify.verification.verify.available", lambda: room)
    assert verify_subject(subject, Plan(CLIPS)).passed
    report = verify_subject(subject, Plan(CLIPS, layers="all"))
    assert any("would take about" in problem for problem in report.problems)


def test_nothing_of_a_clip_is_held_once_it_is_compared(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a thousand recordings would not fit into memory."""
    arrays: list[weakref.ref[Any]] = []
    alive: list[int] = []
    run = OnnxBackend.run

    def watched(self: OnnxBackend, waveform: Any, *, layers: bool = False) -> Any:
        alive.append(sum(array() is not None for array in arrays))
        outputs = run(self, waveform, layers=layers)
        given = waveform if waveform.base is None else waveform.base
        arrays.extend(map(weakref.ref, (given, *outputs.values())))
        return outputs

    def stored(clip: Clip) -> StoredClip:
        return StoredClip(
            clip.name, clip.source, clip.samples, lambda: Clip(clip.name, clip.waveform.copy(), clip.source)
        )

    monkeypatch.setattr(OnnxBackend, "run", watched)
    assert verify_subject(subject, Plan(tuple(map(stored, CLIPS)), layers="all")).passed
    # what is alive is this input's own, where it is run a second or third time, and the padded waveform of 2.5 seconds
    one = 2 * (1 + 3)  # a waveform and three outputs, twice
    assert len(alive) > 2 * len(INPUTS)
    assert max(alive) <= one + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clips": ()}, "no clip"),
        ({"backends": ("fairseq",)}, "at least two"),
        ({"backends": ("fairseq", "fairseq")}, "at least two"),
        ({"backends": ("fairseq", "tensorflow")}, "unknown backend tensorflow"),
    ],
)
def test_a_plan_that_compares_nothing_is_refused(arguments: dict[str, Any], message: str, subject: Subject) -> None:
    with pytest.raises(InputError, match=message):
        verify(subject, Plan(**{"clips": CLIPS, **arguments}))


def test_a_bundle_is_verified_in_one_call(subject: Subject, tiny_bundle: Bundle) -> None:
    report = verify(subject, Plan(CLIPS))
    assert report.passed
    assert json.loads(to_json(report))["configs"][0]["reference"] == "fairseq"
    with pytest.raises(InputError, match="no file for fairseq"):
        verify(of_bundle(tiny_bundle.folder))


def test_one_backend_gives_embeddings_and_needs_no_other(subject: Subject, tiny_bundle: Bundle) -> None:
    every = list(Plan(CLIPS, layers="all").embed(subject))
    assert [set(outputs) for outputs in every] == [{"fairseq", "torchaudio", "onnx"}] * len(CLIPS)
    assert {"final", "layer.0", "layer.1"} <= set(every[0]["fairseq"])
    (alone,) = Plan(CLIPS[:1], ("onnx",)).embed(of_bundle(tiny_bundle.folder))
    np.testing.assert_array_equal(alone["onnx"]["final"], every[0]["onnx"]["final"])
    np.testing.assert_allclose(alone["onnx"]["final"], every[0]["fairseq"]["final"], atol=1e-4)
    assert len(list(Plan(backends=("torchaudio",)).embed(of_bundle(tiny_bundle.folder)))) == 16  # the reference signals
    short = Clip("blip", np.zeros(20, np.float32))
    with pytest.raises(InputError, match="blip: 20 samples"):
        list(Plan((short,), ("torchaudio",)).embed(of_bundle(tiny_bundle.folder)))


def test_a_missing_backend_must_be_waived_by_name(tiny_bundle: Bundle) -> None:
    with pytest.raises(InputError, match="`backends` torchaudio,onnx"):
        verify_subject(of_bundle(tiny_bundle.folder, None), Plan(CLIPS))
    report = verify_subject(of_bundle(tiny_bundle.folder, None), Plan(CLIPS, backends=("torchaudio", "onnx")))
    assert report.passed
    assert report.reference == "torchaudio"


def test_layers_that_a_graph_does_not_have_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    made_last = make_bundle(Source(tiny_checkpoint), Target(tmp_path / "b", "x"))
    with pytest.raises(InputError, match="`layers` all"):
        verify_subject(of_bundle(made_last.folder, tiny_checkpoint), Plan(CLIPS, layers="all"))


def test_a_file_that_is_no_graph_is_refused(subject: Subject, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"<html>")
    subject = dataclasses.replace(subject, onnx=tmp_path / "x.onnx")
    with pytest.raises(InputError, match=r"x\.onnx: ONNX Runtime cannot load it"):
        verify_subject(subject, Plan(CLIPS))


def test_the_signals_fit_another_geometry(tmp_path: Path) -> None:
    entries = {**GEOMETRIES["tiny"], "conv_feature_layers": "[(16,20,10)] + [(16,8,8)] * 2 + [(16,4,4)]"}
    write_torch_file(checkpoint_contents(entries, seed="wide"), tmp_path / "x.pt")
    bundle = make_bundle(Source(tmp_path / "x.pt"), Target(tmp_path / "b", "x"))
    assert bundle.manifest.encoder.receptive_field > 400
    report = verify_subject(of_bundle(tmp_path / "b", tmp_path / "x.pt"), Plan())
    assert report.passed, report.problems
    assert "shortest" in {c.clip for c in report.comparisons}


def test_torchaudio_is_held_to_more_than_onnx(tiny_checkpoint: Path, bundle: Bundle) -> None:
    """One bias off by 1 % is less than what an ordinary ONNX export may differ by, and no TorchAudio port may."""
    rewrite(bundle, scale(LAYER.format(0) + "attention.out_proj.bias"))
    subject = dataclasses.replace(of_bundle(bundle.folder, tiny_checkpoint), problems=())
    assert "torchaudio" in {backend for backend, _ in failures(verify_subject(subject, Plan(CLIPS)))}


def test_one_percent_of_any_tensor_is_named(bundle: Bundle) -> None:
    """Of every tensor, those included that no output shows."""
    path, config = bundle.path("torchaudio"), bundle.manifest.config
    clean, original = path.read_bytes(), read_state_dict(path, config)
    for name in original:
        rewrite(bundle, scale(name))
        found = torchaudio_weights(original, read_state_dict(path, config), path)
        assert [problem.split(" in ")[0] for problem in found.problems] == [f"torchaudio: {name}"]
        path.write_bytes(clean)


def test_one_percent_of_any_constant_of_a_graph_is_caught(
    tiny_checkpoint: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """Of every constant, in one layer of those that are alike; against a recording, so that little is computed."""
    reference, clips = tmp_path / "x.reference", CLIPS[:1]
    make_recording(of_bundle(bundle.folder, tiny_checkpoint), "fairseq", clips, reference, layers="last")
    subject = dataclasses.replace(of_bundle(bundle.folder, None), recording=reference, problems=())
    model = onnx.load(bundle.path("onnx"))
    weights, caught = set(), set()
    for i, tensor in enumerate(model.graph.initializer):
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype.kind != "f" or values.size < 2 or LAYER.format(1) in tensor.name:
            continue  # shapes and constants of the graph, which are no weights
        damaged = copy.deepcopy(model)
        scaled = (values * values.dtype.type(1.01)).astype(values.dtype)
        damaged.graph.initializer[i].CopyFrom(onnx.numpy_helper.from_array(scaled, tensor.name))
        onnx.save(damaged, bundle.path("onnx"))
        weights.add(tensor.name)
        if not verify_subject(subject, Plan(clips, ("fairseq", "onnx"))).passed:
            caught.add(tensor.name)
    assert len(caught) > 30
    # A factor before the group norm is no damage: the norm takes it out again.
    before_the_norm = {name for name in weights if "conv_layers.0.conv" in name} | {"identity_kernel"}
    assert weights - caught <= before_the_norm


def test_another_geometry_in_the_config_is_named(tiny_checkpoint: Path, bundle: Bundle) -> None:
    path = bundle.path("config")
    path.write_text(path.read_text().replace('"encoder_num_heads": 4', '"encoder_num_heads": 6'))
    report = verify_subject(of_bundle(bundle.folder, tiny_checkpoint), Plan(CLIPS))
    assert any("not the original's geometry" in problem for problem in report.problems)
    assert not report.passed
