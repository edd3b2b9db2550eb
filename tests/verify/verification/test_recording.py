"""Recording an original where fairseq runs, and comparing with it where it does not."""

import dataclasses
import functools
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.support.commands import invoke
from tests.support.comparisons import of_clips

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.encoder import EncoderConfig
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import GEOMETRIES, checkpoint_contents, write_stand_in
from aves_convert.graph.options import OnnxOptions
from aves_convert.sounds.clip import Clip
from aves_convert.sounds.signals import reference_signals
from aves_convert.torch_files.writer import write_torch_file
from aves_verify.backends.recorded import RecordedBackend
from aves_verify.cli import main
from aves_verify.sounds.memory import needed
from aves_verify.subjects.subject import Subject, of_bundle, of_files
from aves_verify.verification.plan import Plan
from aves_verify.verification.recording import make_recording
from aves_verify.verification.verify import verify_subject

CLIPS = tuple(clip for clip in reference_signals() if clip.name in ("chirp", "shortest"))


@pytest.fixture(scope="module")
def made(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of recordings of the tiny checkpoint: on CLIPS with every layer, and on all signals."""
    folder = tmp_path_factory.mktemp("made")
    make_recording(subject, "fairseq", CLIPS, folder / "clips.reference", layers="all")
    make_recording(subject, "fairseq", None, folder / "signals.reference", layers="last")
    return folder


@pytest.fixture
def without_fairseq(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "fairseq"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fairseq", None)


cli = functools.partial(invoke, main)


@pytest.mark.usefixtures("without_fairseq")
@pytest.mark.parametrize("layers", ["last", "all"])
def test_a_recording_stands_for_the_original_to_the_last_bit(made: Path, tiny_bundle: Bundle, layers: str) -> None:
    recorded = dataclasses.replace(of_bundle(tiny_bundle.folder, None), recording=made / "clips.reference")
    plan = Plan(CLIPS, layers=layers)  # type: ignore[arg-type]
    found = verify_subject(recorded, plan)
    assert found.passed, found.problems
    assert found.reference == "fairseq"
    assert {c.layer for c in found.comparisons} >= {"final"}
    for comparison in found.comparisons:
        assert comparison.error_ratio is not None
    assert set(found.sha256) == {"torchaudio", "onnx", "config", "heads"}


@pytest.mark.slow
def test_the_numbers_are_those_that_fairseq_itself_gives(made: Path, subject: Subject, tiny_bundle: Bundle) -> None:
    live = verify_subject(subject, Plan(CLIPS))
    recorded = dataclasses.replace(of_bundle(tiny_bundle.folder, None), recording=made / "clips.reference")
    assert of_clips(verify_subject(recorded, Plan(CLIPS)).comparisons) == of_clips(live.comparisons)


@pytest.mark.usefixtures("without_fairseq")
def test_a_port_that_is_damaged_fails_against_the_recording(made: Path, tmp_path: Path) -> None:
    write_stand_in("core", tmp_path / "y.pt", geometry="tiny")
    bundle = make_bundle(Source(tmp_path / "y.pt"), Target(tmp_path / "b", "y"), OnnxOptions(layers="all"))
    result = cli("--onnx", bundle.path("onnx"), "--reference", made / "signals.reference", "--backends", "fairseq,onnx")
    assert result.exit_code == 1, result.output
    assert "beyond the tolerance" in result.output


@pytest.mark.usefixtures("without_fairseq")
def test_a_config_beside_the_ports_is_compared_with_the_recorded_one(made: Path, bundle: Bundle) -> None:
    """Its dropouts show in no output, and are what fine-tuning starts with."""
    path = bundle.path("config")
    entries = json.loads(path.read_text())
    path.write_text(json.dumps({**entries, "encoder_layer_drop": 0.5}))
    ports = of_files(None, bundle.path("torchaudio"), path, bundle.path("onnx"))
    found = verify_subject(dataclasses.replace(ports, recording=made / "clips.reference"), Plan(CLIPS))
    (problem,) = found.problems
    assert problem == (
        f"torchaudio: the config says encoder_layer_drop 0.5, the original {entries['encoder_layer_drop']}"
    )


@pytest.mark.slow
@pytest.mark.usefixtures("without_fairseq")
def test_layers_that_were_not_recorded_are_told(tiny_bundle: Bundle, tiny_checkpoint: Path, tmp_path: Path) -> None:
    clips = reference_signals()[:1]
    make_recording(of_bundle(tiny_bundle.folder, tiny_checkpoint), "torchaudio", clips, tmp_path / "r", layers="last")
    ports = dataclasses.replace(of_bundle(tiny_bundle.folder, None), recording=tmp_path / "r")
    notes = verify_subject(ports, Plan(clips)).notes
    assert "onnx: its layers were not compared: only the last one was recorded" in notes


def test_other_weights_are_refused(made: Path, tmp_path: Path) -> None:
    write_stand_in("core", tmp_path / "y.pt", geometry="tiny")
    make_bundle(Source(tmp_path / "y.pt"), Target(tmp_path / "b", "y"))
    result = cli("--bundle", tmp_path / "b", "--reference", made / "signals.reference")
    assert result.exit_code == 2
    assert "was recorded from other weights than those of y" in result.output
    assert len(result.output.splitlines()) == 1


def test_other_audio_is_refused(made: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(np.arange(8000) / 20), 16_000)
    result = cli("--bundle", tiny_bundle.folder, "--reference", made / "signals.reference", "--audio", tmp_path)
    assert result.exit_code == 2
    assert "holds no output for a waveform [1, 8000]" in result.output
    assert len(result.output.splitlines()) == 1


def test_a_recording_that_is_given_and_not_compared_with_is_refused(made: Path, tiny_bundle: Bundle) -> None:
    options = ("--reference", made / "signals.reference", "--backends", "torchaudio,onnx")
    result = cli("--bundle", tiny_bundle.folder, *options)
    assert result.exit_code == 2
    assert "a recording stands for fairseq, which is not among torchaudio, onnx; add" in result.output
    assert "add fairseq to --backends, or leave --reference out" in result.output


@pytest.mark.slow
def test_the_command_records_and_compares(tiny_bundle: Bundle, tiny_checkpoint: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(np.arange(8000) / 20), 16_000)
    reference = tmp_path / "x.reference"
    result = cli("record", "--fairseq", tiny_checkpoint, "--audio", tmp_path, "-o", reference)
    assert result.exit_code == 0, result.output
    assert "fairseq 0.12.2 on 3 inputs" in result.output
    options = ("--bundle", tiny_bundle.folder, "--reference", reference, "--audio", tmp_path)
    result = cli(*options, "--json", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    (config,) = json.loads((tmp_path / "r.json").read_text())["configs"]
    assert config["reference"] == "fairseq"
    again = cli("record", "--fairseq", tiny_checkpoint, "--audio", tmp_path, "-o", reference)
    assert again.exit_code == 2
    assert "already there; nothing was written; give --force to replace" in again.output
    forced = cli("record", "--fairseq", tiny_checkpoint, "--audio", tmp_path, "-o", reference, "--force")
    assert forced.exit_code == 0, forced.output


@pytest.mark.slow
def test_a_recording_that_cannot_be_written_to_its_end(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """As on a full disk: the system refuses to write more than the limit."""
    reference = tmp_path / "x.reference"
    reference.write_bytes(b"earlier")
    soundfile.write(tmp_path / "a.wav", np.zeros(80_000), 16_000)
    words = ["record", "--fairseq", tiny_checkpoint, "--audio", tmp_path / "a.wav", "-o", reference, "--force"]
    ran = subprocess.run(
        [sys.executable, "-c", "from aves_verify.cli import main; main()", *words],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.splitlines() == [f"Error: {reference}: cannot write: File too large"]
    assert reference.read_bytes() == b"earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "x.reference"]


def test_where_nothing_can_be_written_nothing_is_run(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aves_verify.verification.recording.load", lambda *_: pytest.fail("it was loaded"))
    (tmp_path / "file").touch()
    result = cli("record", "--fairseq", tiny_checkpoint, "-o", tmp_path / "file" / "x.reference")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {tmp_path / 'file'}: cannot write here")


def test_a_bad_file_among_the_audio_stops_a_recording(tiny_checkpoint: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 16_000)
    (tmp_path / "b.wav").write_text("not audio")
    result = cli("record", "--fairseq", tiny_checkpoint, "--audio", tmp_path, "-o", tmp_path / "x.reference")
    assert result.exit_code == 2
    assert "b.wav: damaged, or not audio" in result.output
    assert "nothing was recorded" in result.output
    assert not (tmp_path / "x.reference").exists()


def test_a_clip_that_does_not_fit_into_memory_stops_a_recording(
    subject: Subject, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = EncoderConfig.read(tiny_bundle.path("config"))
    room = needed(config, max(clip.samples for clip in CLIPS))
    monkeypatch.setattr("aves_verify.verification.recording.available", lambda: room)
    make_recording(subject, "fairseq", CLIPS, tmp_path / "r", layers="last")
    with pytest.raises(InputError, match=r"would take about .* enough for .*; nothing was recorded"):
        make_recording(subject, "fairseq", CLIPS, tmp_path / "all", layers="all")
    assert not (tmp_path / "all").exists()


def test_a_short_clip_stops_a_recording(subject: Subject, tmp_path: Path) -> None:
    short = Clip("short", np.zeros(399, np.float32), "short.wav")
    with pytest.raises(InputError, match=r"short\.wav: 399 samples .* needs at least 400"):
        make_recording(subject, "fairseq", (*CLIPS, short), tmp_path / "r", layers="last")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fairseq", "nowhere.pt"), "nowhere.pt"),
        (("core", "bio", "--stand-in"), "a recording is of one configuration"),
        ((), "expected one of"),
        (("--fairseq", "x.pt", "--backend", "onnx"), "'onnx' is not one of"),
    ],
)
def test_bad_usage_is_told_and_leaves_nothing(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = cli("record", *arguments, "-o", tmp_path / "r")
    assert result.exit_code == 2
    assert message in result.output
    assert not list(tmp_path.iterdir())


def test_torchaudio_can_be_recorded_too(subject: Subject, tiny_bundle: Bundle, tmp_path: Path) -> None:
    make_recording(subject, "torchaudio", CLIPS, tmp_path / "r", layers="last")
    recorded = dataclasses.replace(of_bundle(tiny_bundle.folder), recording=tmp_path / "r")
    report = verify_subject(recorded, Plan(CLIPS))
    assert report.passed
    assert report.reference == "torchaudio"


@pytest.mark.slow
def test_a_normalising_model_is_recorded_with_what_it_is_given(tmp_path: Path) -> None:
    contents = checkpoint_contents(GEOMETRIES["tiny"], seed="normalising", task={"normalize": True})
    write_torch_file(contents, tmp_path / "x.pt")
    make_bundle(Source(tmp_path / "x.pt"), Target(tmp_path / "b", "x"))
    subject = of_bundle(tmp_path / "b", tmp_path / "x.pt")
    make_recording(subject, "fairseq", CLIPS, tmp_path / "r", layers="last")
    assert RecordedBackend(tmp_path / "r").about.normalize is True
    recorded = dataclasses.replace(of_bundle(tmp_path / "b", None), recording=tmp_path / "r")
    assert verify_subject(recorded, Plan(CLIPS)).passed
