"""The verifier finds what is wrong with a bundle, and says where."""

import dataclasses
import json
import os
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from tests.support.fairseq_models import LETTERS, Variant, build
from tests.support.tensors import arrays

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.file_record import file_record
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.configurations.catalog import catalog
from aves_artifacts.configurations.store import bundle_folder
from aves_artifacts.encoder import EncoderConfig
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import GEOMETRIES, checkpoint_contents, write_stand_in
from aves_convert.graph.options import OnnxOptions
from aves_convert.torch_files.writer import write_torch_file
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.cli import main
from aves_verify.report.json_report import to_json
from aves_verify.report.report import ConfigReport
from aves_verify.sounds.clip import Clip, StoredClip
from aves_verify.sounds.inputs import network_input
from aves_verify.sounds.memory import needed
from aves_verify.sounds.signals import reference_signals
from aves_verify.subjects.subject import Subject, of_bundle, ready
from aves_verify.verification.plan import Plan
from aves_verify.verification.run import verify
from aves_verify.verification.verify import verify_subject

CLIPS = tuple(clip for clip in reference_signals() if clip.name in ("chirp", "shortest", "odd_frames"))
INPUTS = (*(clip.name for clip in CLIPS), "chirp, zero-padded", "batch of 3")
Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint and its bundle, with every layer as an output."""
    folder = tmp_path_factory.mktemp("made")
    write_stand_in("bio", folder / "x.pt", geometry="tiny")
    make_bundle(Source(folder / "x.pt"), Target(folder / "bundle", "x"), OnnxOptions(layers="all"))
    return folder / "x.pt", folder / "bundle"


@pytest.fixture
def bundle(made: tuple[Path, Path], tmp_path: Path) -> Bundle:
    """A bundle of one's own, to damage."""
    return make_bundle(Source(made[0]), Target(tmp_path / "bundle", "x"), OnnxOptions(layers="all"))


def failures(report: ConfigReport) -> set[tuple[str, str]]:
    return {(c.backend, c.clip) for c in report.comparisons if c.status == "fail"}


@pytest.mark.parametrize("layers", ["last", "all"])
def test_a_good_bundle_passes(made: tuple[Path, Path], layers: Any) -> None:
    report = verify_subject(of_bundle(made[1], made[0]), Plan(CLIPS, layers=layers))
    assert report.passed
    assert report.reference == "fairseq"
    unasked = 2 * 2  # the graph gives its layers: on one clip they are compared in both ports
    inputs = len(CLIPS) + 2
    assert len(report.comparisons) == (inputs * 2 + unasked if layers == "last" else inputs * 2 * 3)
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


def rewrite(bundle: Bundle, change: Callable[[Weights], None]) -> None:
    path = bundle.path("torchaudio")
    weights = torch.load(path, weights_only=True)
    change(weights)
    write_torch_file(arrays(weights), path)


LAYER = "encoder.transformer.layers.{}."


def scale(name: str) -> Callable[[Weights], None]:
    def change(weights: Weights) -> None:
        weights[name] = weights[name] * 1.01

    return change


def exchange_layers(weights: Weights) -> None:
    for name in [n for n in weights if n.startswith(LAYER.format(0))]:
        other = name.replace("layers.0.", "layers.1.")
        weights[name], weights[other] = weights[other], weights[name]


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
    made: tuple[Path, Path], bundle: Bundle, change: Callable[[Weights], None]
) -> None:
    rewrite(bundle, change)
    report = verify_subject(of_bundle(bundle.folder, made[0]), Plan(CLIPS))
    assert not report.passed
    assert {backend for backend, _ in failures(report)} == {"torchaudio"}
    assert any("x.torchaudio.pt" in problem for problem in report.problems)
    assert all("difference" in c.reason or "RMS" in c.reason for c in report.comparisons if c.status == "fail")


def test_damage_is_found_by_the_numbers_alone(made: tuple[Path, Path], bundle: Bundle) -> None:
    """Also where somebody brought the manifest up to date."""
    rewrite(bundle, scale(LAYER.format(1) + "attention.v_proj.weight"))
    records = {**bundle.manifest.files, "torchaudio": file_record(bundle.path("torchaudio"))}
    manifest = dataclasses.replace(bundle.manifest, files=records)
    (bundle.folder / "manifest.json").write_text(manifest.to_json())
    report = verify_subject(of_bundle(bundle.folder, made[0]), Plan(CLIPS))
    assert len(report.problems) == 1
    assert "attention.v_proj.weight" in report.problems[0]
    assert failures(report) == {("torchaudio", name) for name in INPUTS}


def test_a_damaged_graph_fails(made: tuple[Path, Path], bundle: Bundle) -> None:
    model = onnx.load(bundle.path("onnx"))
    damaged = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = onnx.numpy_helper.to_array(damaged) * np.float32(1.01)
    damaged.CopyFrom(onnx.numpy_helper.from_array(values, damaged.name))
    onnx.save(model, bundle.path("onnx"))
    report = verify_subject(of_bundle(bundle.folder, made[0]), Plan(CLIPS))
    assert {backend for backend, _ in failures(report)} == {"onnx"}


def test_another_checkpoint_is_noticed(made: tuple[Path, Path], tmp_path: Path) -> None:
    write_stand_in("core", tmp_path / "other.pt", geometry="tiny")
    report = verify_subject(of_bundle(made[1], tmp_path / "other.pt"), Plan(CLIPS))
    assert not report.passed
    assert any("not the checkpoint that the bundle was made from" in problem for problem in report.problems)
    assert failures(report) == {(b, name) for b in ("torchaudio", "onnx") for name in INPUTS}


def test_a_clip_that_is_too_short_fails_and_the_others_go_on(made: tuple[Path, Path]) -> None:
    short = Clip("short", np.zeros(399, np.float32), "short")
    report = verify_subject(of_bundle(made[1], made[0]), Plan((short, *CLIPS)))
    assert not report.passed
    assert any("399 samples" in problem for problem in report.problems)
    assert {c.clip for c in report.comparisons} == set(INPUTS)


def test_a_clip_that_does_not_fit_into_memory_fails_and_the_others_go_on(
    made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = of_bundle(made[1], made[0])
    longest = max(CLIPS, key=lambda clip: clip.samples)
    too_much = Clip("too long", np.zeros(4 * longest.samples, np.float32), "too long")
    room = needed(EncoderConfig.read(made[1] / "x.torchaudio.model_config.json"), longest.samples)
    monkeypatch.setattr("aves_verify.verification.verify.available", lambda: room)
    report = verify_subject(subject, Plan((too_much, *CLIPS)))
    assert not report.passed
    (problem,) = report.problems
    assert re.search(r"too long: its .* s would take about .* enough for", problem)
    assert {c.clip for c in report.comparisons} == set(INPUTS)


def test_every_layers_output_has_to_fit_too(made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    longest = max(CLIPS, key=lambda clip: clip.samples)
    room = needed(EncoderConfig.read(made[1] / "x.torchaudio.model_config.json"), longest.samples)
    monkeypatch.setattr("aves_verify.verification.verify.available", lambda: room)
    assert verify_subject(of_bundle(made[1], made[0]), Plan(CLIPS)).passed
    report = verify_subject(of_bundle(made[1], made[0]), Plan(CLIPS, layers="all"))
    assert any("would take about" in problem for problem in report.problems)


def test_nothing_of_a_clip_is_held_once_it_is_compared(
    made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert verify_subject(of_bundle(made[1], made[0]), Plan(tuple(map(stored, CLIPS)), layers="all")).passed
    *clips, batch = alive
    assert clips == [0] * (len(INPUTS) - 1)
    assert batch <= 1  # the padded waveform, of 2.5 seconds


def test_normalisation_is_what_fairseq_does() -> None:
    clip = Clip("x", (np.arange(800, dtype=np.float32) % 7) + 3, "x")
    wave = network_input(clip, normalize=True)
    assert wave.shape == (1, 800)
    assert abs(float(wave.mean())) < 1e-6
    assert abs(float(wave.std()) - 1) < 1e-4
    assert np.array_equal(network_input(clip, normalize=False)[0], clip.waveform)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clips": ()}, "no clip"),
        ({"backends": ("fairseq",)}, "at least two"),
        ({"backends": ("fairseq", "fairseq")}, "at least two"),
        ({"backends": ("fairseq", "tensorflow")}, "unknown backend tensorflow"),
    ],
)
def test_a_plan_that_compares_nothing_is_refused(
    arguments: dict[str, Any], message: str, made: tuple[Path, Path]
) -> None:
    with pytest.raises(InputError, match=message):
        verify(of_bundle(made[1], made[0]), Plan(**{"clips": CLIPS, **arguments}))


def test_a_bundle_is_verified_in_one_call(made: tuple[Path, Path]) -> None:
    report = verify(of_bundle(made[1], fairseq=made[0]), Plan(CLIPS))
    assert report.passed
    assert json.loads(to_json(report))["configs"][0]["reference"] == "fairseq"
    with pytest.raises(InputError, match="no file for fairseq"):
        verify(of_bundle(made[1]))


def test_one_backend_gives_embeddings_and_needs_no_other(made: tuple[Path, Path]) -> None:
    subject = of_bundle(made[1], fairseq=made[0])
    every = list(Plan(CLIPS, layers="all").embed(subject))
    assert [set(outputs) for outputs in every] == [{"fairseq", "torchaudio", "onnx"}] * len(CLIPS)
    assert {"final", "layer.0", "layer.1"} <= set(every[0]["fairseq"])
    (alone,) = Plan(CLIPS[:1], ("onnx",)).embed(of_bundle(made[1]))
    np.testing.assert_array_equal(alone["onnx"]["final"], every[0]["onnx"]["final"])
    np.testing.assert_allclose(alone["onnx"]["final"], every[0]["fairseq"]["final"], atol=1e-4)
    assert len(list(Plan(backends=("torchaudio",)).embed(of_bundle(made[1])))) == 16  # the reference signals
    short = Clip("blip", np.zeros(20, np.float32))
    with pytest.raises(InputError, match="blip: 20 samples"):
        list(Plan((short,), ("torchaudio",)).embed(of_bundle(made[1])))


def test_a_missing_backend_must_be_waived_by_name(made: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="`backends` torchaudio,onnx"):
        verify_subject(of_bundle(made[1], None), Plan(CLIPS))
    report = verify_subject(of_bundle(made[1], None), Plan(CLIPS, backends=("torchaudio", "onnx")))
    assert report.passed
    assert report.reference == "torchaudio"


def test_layers_that_a_graph_does_not_have_are_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    made_last = make_bundle(Source(made[0]), Target(tmp_path / "b", "x"))
    with pytest.raises(InputError, match="`layers` all"):
        verify_subject(of_bundle(made_last.folder, made[0]), Plan(CLIPS, layers="all"))


def test_a_file_that_is_no_graph_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"<html>")
    subject = dataclasses.replace(of_bundle(made[1], made[0]), onnx=tmp_path / "x.onnx")
    with pytest.raises(InputError, match=r"x\.onnx: ONNX Runtime cannot load it"):
        verify_subject(subject, Plan(CLIPS))


def cli(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_command_passes_and_writes_the_contract(made: tuple[Path, Path], tmp_path: Path) -> None:
    result = cli("--bundle", made[1], "--fairseq", made[0], "--json", tmp_path / "r.json", "--verbose")
    assert result.exit_code == 0, result.output
    assert "PASSED: 40 comparisons" in result.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["schema"], report["passed"]) == (1, True)
    assert {"python", "torch", "torchaudio", "onnxruntime", "fairseq", "cpu", "threads"} <= set(report["environment"])
    assert {"atol", "rtol"} <= set(report["tolerance"])
    (config,) = report["configs"]
    assert (config["name"], config["source"], config["passed"]) == ("x", "file", True)
    assert set(config["sha256"]) == {"fairseq", "torchaudio", "config", "onnx"}
    assert {"load", "fairseq", "torchaudio", "onnx"} <= set(config["seconds"])
    keys = {"backend", "reference", "clip", "layer", "status", "max_abs", "max_rel", "mean_abs", "cosine_min"}
    for comparison in config["comparisons"]:
        assert keys | {"min_tolerance", "error_ratio", "near_zero"} <= set(comparison)
        assert set(comparison["near_zero"]) == {"threshold", "elements", "flagged", "max_rel", "max_abs"}
    assert report["seconds"]["total"] > 0


def test_the_command_names_what_failed(made: tuple[Path, Path], bundle: Bundle, tmp_path: Path) -> None:
    rewrite(bundle, exchange_layers)
    result = cli("--bundle", bundle.folder, "--fairseq", made[0], "--json", tmp_path / "r.json")
    assert result.exit_code == 1
    assert "x, torchaudio, clip chirp, final" in result.output
    assert "FAILED: x" in result.output
    assert json.loads((tmp_path / "r.json").read_text())["passed"] is False


def test_loose_files_and_recordings(made: tuple[Path, Path], tmp_path: Path) -> None:
    import soundfile

    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / "a.wav", np.sin(np.arange(44_100) / 20)[:, None] * [0.5, 0.1], 44_100)
    files = ("--fairseq", made[0], "--torchaudio", made[1] / "x.torchaudio.pt")
    config = ("--config", made[1] / "x.torchaudio.model_config.json", "--onnx", made[1] / "x.onnx")
    result = cli(*files, *config, "--audio", tmp_path / "audio")
    assert result.exit_code == 0, result.output
    (tmp_path / "audio" / "b.wav").write_text("not audio")
    result = cli(*files, *config, "--audio", tmp_path / "audio")
    assert result.exit_code == 1, result.output
    assert "b.wav" in result.output
    assert "10 comparisons" in result.output  # the good one was compared


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--all-configs --stand-in"),
        (("--stand-in",), "expected one of"),
        (("nowhere", "--stand-in"), "nowhere: neither a configuration nor a file"),
        (("bio", "--bundle", "x"), "expected one of"),
        (("bio", "--fairseq", "x.pt"), "take no files"),
        (("--bundle", "nowhere"), "no such folder"),
        (("--bundle", "nowhere", "--onnx", "x.onnx"), "expected one of"),
        (("--torchaudio", "x.pt"), "their config go together"),
        (("--fairseq", "nowhere.pt", "--onnx", "x.onnx"), "no file for torchaudio"),
        (("--fairseq", "nowhere.pt", "--onnx", "x.onnx", "--backends", "fairseq,onnx"), "nowhere.pt"),
        (("bio", "--stand-in", "--backends", "onnx"), "at least two"),
        (("bio", "--stand-in", "--audio", "nowhere.wav"), "nowhere.wav"),
    ],
)
def test_bad_usage_ends_with_one_line_and_status_2(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVES_HOME", str(tmp_path / "store"))
    result = cli(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_published_files_that_are_not_here_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVES_HOME", str(tmp_path))
    result = cli("bio")
    assert result.exit_code == 2
    assert str(tmp_path / "aves-base-bio" / "aves-base-bio.pt") in result.output
    assert "--stand-in" in result.output


def test_published_files_in_the_store_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVES_HOME", str(tmp_path))
    folder = tmp_path / "aves-base-bio"
    write_stand_in("bio", folder / "aves-base-bio.pt", geometry="tiny")
    assert "bio: its original has no ports yet; give --download to make them" in cli("bio").output
    make_bundle(Source(folder / "aves-base-bio.pt"), Target(bundle_folder(catalog()["bio"]), "aves-base-bio"))
    result = cli("bio")
    assert result.exit_code == 0, result.output
    assert "bio" in result.output


def test_stand_ins_leave_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    from aves_artifacts.configurations.catalog import catalog
    from aves_verify.subjects.subject import stand_in_for

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with stand_in_for(catalog()["all"], geometry="tiny") as subject:
        report = verify_subject(subject, Plan(CLIPS))
        assert list(tmp_path.rglob("*.onnx"))
    assert not list(tmp_path.iterdir())
    assert report.passed
    assert (report.name, report.source) == ("all", "stand-in")


def test_a_subject_hashes_what_the_manifest_does_not_vouch_for(made: tuple[Path, Path]) -> None:
    subject = of_bundle(made[1], made[0])
    trusted = subject.sha256(("fairseq", "torchaudio", "onnx"))
    untrusted = Subject(**{**vars(subject), "recorded": {}}).sha256(("fairseq", "torchaudio", "onnx"))
    assert trusted == untrusted
    assert read_checkpoint(made[0]).num_updates == 0


def test_the_signals_fit_another_geometry(tmp_path: Path) -> None:
    entries = {**GEOMETRIES["tiny"], "conv_feature_layers": "[(16,20,10)] + [(16,8,8)] * 2 + [(16,4,4)]"}
    write_torch_file(checkpoint_contents(entries, seed="wide"), tmp_path / "x.pt")
    bundle = make_bundle(Source(tmp_path / "x.pt"), Target(tmp_path / "b", "x"))
    assert bundle.manifest.encoder.receptive_field > 400
    report = verify_subject(of_bundle(tmp_path / "b", tmp_path / "x.pt"), Plan())
    assert report.passed, report.problems
    assert "shortest" in {c.clip for c in report.comparisons}


def test_torchaudio_is_held_to_more_than_onnx(made: tuple[Path, Path], bundle: Bundle) -> None:
    """One bias off by 1 % is less than what an ordinary ONNX export may differ by, and no TorchAudio port may."""
    rewrite(bundle, scale(LAYER.format(0) + "attention.out_proj.bias"))
    subject = dataclasses.replace(of_bundle(bundle.folder, made[0]), problems=())
    assert "torchaudio" in {backend for backend, _ in failures(verify_subject(subject, Plan(CLIPS)))}


def test_tolerances_can_be_overridden(made: tuple[Path, Path], tmp_path: Path) -> None:
    result = cli("--bundle", made[1], "--fairseq", made[0], "--atol", "0", "--rtol", "0", "--json", tmp_path / "r.json")
    assert result.exit_code == 1
    tolerance = json.loads((tmp_path / "r.json").read_text())["tolerance"]
    assert (tolerance["atol"], tolerance["rtol"]) == (0, 0)
    assert set(tolerance["by_backend"]) == {"torchaudio", "onnx"}


@pytest.mark.slow
def test_one_percent_of_any_tensor_is_caught_and_named(made: tuple[Path, Path], bundle: Bundle) -> None:
    """Of every tensor, those included that no output shows, in either port, whatever the manifest says."""
    clean_weights, clean_graph = bundle.path("torchaudio").read_bytes(), bundle.path("onnx").read_bytes()
    clips = CLIPS[:1]
    for name in torch.load(bundle.path("torchaudio"), weights_only=True):
        bundle.path("torchaudio").write_bytes(clean_weights)
        rewrite(bundle, scale(name))
        report = verify_subject(dataclasses.replace(of_bundle(bundle.folder, made[0]), problems=()), Plan(clips))
        assert not report.passed
        assert any(f"torchaudio: {name} in" in problem for problem in report.problems)
    bundle.path("torchaudio").write_bytes(clean_weights)
    model = onnx.load_from_string(clean_graph)
    caught = set()
    for i, tensor in enumerate(model.graph.initializer):
        damaged = onnx.load_from_string(clean_graph)
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype.kind != "f" or values.size < 2:
            continue  # shapes and constants of the graph, which are no weights
        scaled = (values * values.dtype.type(1.01)).astype(values.dtype)
        damaged.graph.initializer[i].CopyFrom(onnx.numpy_helper.from_array(scaled, tensor.name))
        onnx.save(damaged, bundle.path("onnx"))
        report = verify_subject(dataclasses.replace(of_bundle(bundle.folder, made[0]), problems=()), Plan(clips))
        if not report.passed:
            caught.add(tensor.name)
    weights = {
        t.name for t in model.graph.initializer if onnx.numpy_helper.to_array(t).size > 1 and t.data_type in (1, 11)
    }
    # A factor before the group norm is no damage: the norm takes it out again.
    before_the_norm = {name for name in weights if "conv_layers.0.conv" in name} | {"identity_kernel"}
    assert weights - caught <= before_the_norm


def test_another_geometry_in_the_config_is_named(made: tuple[Path, Path], bundle: Bundle) -> None:
    path = bundle.path("config")
    path.write_text(path.read_text().replace('"encoder_num_heads": 4', '"encoder_num_heads": 6'))
    report = verify_subject(of_bundle(bundle.folder, made[0]), Plan(CLIPS))
    assert any("not the original's geometry" in problem for problem in report.problems)
    assert not report.passed


def test_names_from_outside_are_shown_as_they_are(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import soundfile

    monkeypatch.setenv("COLUMNS", "400")  # the table cuts what is too wide for it, and pytest's folders may be that
    soundfile.write(tmp_path / "[bold]\x1b[31m[x.wav", np.zeros(8000), 16_000)
    result = cli("--bundle", made[1], "--backends", "torchaudio,onnx", "--audio", tmp_path, "-v")
    assert result.exit_code == 0, result.output
    assert "[bold]" in result.output
    assert "\x1b" not in result.output


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_that_is_no_text_loses_nothing(made: tuple[Path, Path], tmp_path: Path) -> None:
    import soundfile

    folder = os.fsencode(tmp_path)
    soundfile.write(tmp_path / "good.wav", np.zeros(8000), 16_000)
    os.rename(tmp_path / "good.wav", os.path.join(folder, b"\xff.wav"))
    result = cli("--bundle", made[1], "--backends", "torchaudio,onnx", "--audio", tmp_path, "-v")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("place", ["folder", "nowhere/r.json"])
def test_a_report_that_cannot_be_written_is_told_before_the_work(
    made: tuple[Path, Path], tmp_path: Path, place: str
) -> None:
    (tmp_path / "folder").mkdir()
    result = cli("--bundle", made[1], "--fairseq", made[0], "--json", tmp_path / place)
    assert result.exit_code == 2
    assert "comparisons" not in result.output


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_what_is_no_tolerance_is_refused(made: tuple[Path, Path], value: str) -> None:
    assert cli("--bundle", made[1], "--fairseq", made[0], "--atol", value).exit_code == 2


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_the_table_fits_the_terminal(made: tuple[Path, Path], width: int) -> None:
    import io

    from rich.console import Console

    from aves_verify.report.terminal import print_report
    from aves_verify.verification.run import verify_all

    report = verify_all([ready(of_bundle(made[1], made[0]))], Plan(CLIPS)).report
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=width, force_terminal=True, color_system=None), every_clip=False)
    table = [line for line in stream.getvalue().splitlines() if not line.startswith(("Allowed", "PASSED", "x, "))]
    assert max(map(len, table)) <= width
    assert "e-0" in stream.getvalue()  # the largest difference is always there


@pytest.fixture(scope="module", params=["hubert_ctc", "wav2vec_ctc"])
def fine_tuned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A fine-tuned model that fairseq built, with the frames of AVES, and its bundle."""
    folder = tmp_path_factory.mktemp("fine-tuned")
    convolutions = {"conv_feature_layers": "[(8,10,5)] + [(8,3,2)] * 4 + [(8,2,2)] * 2"}
    torch.save(build(Variant(request.param, model=convolutions), folder).state, folder / "x.pt")
    make_bundle(Source(folder / "x.pt"), Target(folder / "bundle", "x"))
    return folder / "x.pt", folder / "bundle"


def behead(bundle: Bundle) -> None:
    """Take the head out of the TorchAudio port: a config and weights that fit each other."""
    path = bundle.path("torchaudio")
    weights = torch.load(path, weights_only=True)
    write_torch_file(arrays({n: x for n, x in weights.items() if not n.startswith("aux.")}), path)
    config = EncoderConfig.read(bundle.path("config"))
    assert config.aux_num_out == LETTERS
    bundle.path("config").write_text(dataclasses.replace(config, aux_num_out=None).to_json())


def layers_failed(report: ConfigReport) -> set[tuple[str, str]]:
    return {(c.backend, c.layer) for c in report.comparisons if c.status == "fail"}


def test_the_logits_of_a_fine_tuned_model_are_compared(fine_tuned: tuple[Path, Path], tmp_path: Path) -> None:
    result = cli("--bundle", fine_tuned[1], "--fairseq", fine_tuned[0], "--json", tmp_path / "r.json", "--verbose")
    assert result.exit_code == 0, result.output
    (config,) = json.loads((tmp_path / "r.json").read_text())["configs"]
    compared = {(c["backend"], c["clip"], c["layer"]) for c in config["comparisons"]}
    clips = {c["clip"] for c in config["comparisons"]}
    backends = ("torchaudio", "onnx")
    assert compared == {(b, clip, layer) for b in backends for clip in clips for layer in ("final", "logits")}
    assert "logits" in result.output


def test_a_head_off_by_one_percent_shows_in_the_logits_alone(fine_tuned: tuple[Path, Path], tmp_path: Path) -> None:
    bundle = make_bundle(Source(fine_tuned[0]), Target(tmp_path / "bundle", "x"))
    rewrite(bundle, scale("aux.weight"))
    graph = onnx.load(bundle.path("onnx"))
    (head,) = (tensor for tensor in graph.graph.initializer if tensor.name.startswith("aux.weight"))
    values = onnx.numpy_helper.to_array(head) * np.float32(1.01)
    head.CopyFrom(onnx.numpy_helper.from_array(values, head.name))
    onnx.save(graph, bundle.path("onnx"))
    report = verify_subject(of_bundle(bundle.folder, fine_tuned[0]), Plan())
    assert layers_failed(report) == {("torchaudio", "logits"), ("onnx", "logits")}


def test_a_port_without_the_originals_head_fails_and_says_so(fine_tuned: tuple[Path, Path], tmp_path: Path) -> None:
    bundle = make_bundle(Source(fine_tuned[0]), Target(tmp_path / "bundle", "x"))
    behead(bundle)
    graph = onnx.load(bundle.path("onnx"))
    graph.graph.output.remove(next(output for output in graph.graph.output if output.name == "logits"))
    onnx.save(graph, bundle.path("onnx"))
    subject = dataclasses.replace(of_bundle(bundle.folder, fine_tuned[0]), problems=())

    report = verify_subject(subject, Plan(CLIPS))

    assert layers_failed(report) == {("torchaudio", "logits"), ("onnx", "logits")}
    assert {c.reason for c in report.comparisons if c.status == "fail"} == {
        "fairseq gives logits, torchaudio does not",
        "fairseq gives logits, onnx does not",
    }


def test_a_head_that_the_reference_has_not_is_not_passed_over(fine_tuned: tuple[Path, Path], tmp_path: Path) -> None:
    bundle = make_bundle(Source(fine_tuned[0]), Target(tmp_path / "bundle", "x"))
    behead(bundle)
    report = verify_subject(of_bundle(bundle.folder, None), Plan(CLIPS, backends=("torchaudio", "onnx")))
    assert {c.reason for c in report.comparisons if c.status == "fail"} == {"onnx gives logits, torchaudio does not"}
