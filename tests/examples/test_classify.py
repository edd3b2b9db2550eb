import csv
import functools
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors import safe_open
from tests.support.commands import invoke
from tests.support.recordings import calls, write_recordings
from tests.verify.faults.weight_faults import WEIGHT_FAULTS

from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.file_record import sha256_of
from aves_convert.conversion.convert import torchaudio_to_onnx
from aves_convert.weights.state_dict import read_state_dict
from classifier import train_head
from classify import main, split
from compare_predictions import compare, print_changes
from encoders import FORMS, SMALLER, Ports, Vectors, embed, embed_all, ports_of
from labelled_clips import LabelledClips, labelled, read_labelled, synthesised

pytestmark = pytest.mark.slow

HOSTILE = "[/far] $x^$ \x1b[2J"  # markup, a formula that is none, and what clears a terminal

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ports(tiny_checkpoint: Path) -> Iterator[Ports]:
    with ports_of(tiny_checkpoint) as made:
        yield made


@pytest.fixture(scope="module")
def good(ports: Ports) -> Mapping[str, Vectors]:
    """Half of the set by every form of the encoder."""
    return embed_all(ports, smaller(synthesised()).clips)


run = functools.partial(invoke, main)


def right(outcome: str) -> tuple[int, int]:
    """Right clips, and all that were held out."""
    words = outcome[outcome.index(" held-out clips right") - 10 :].split()
    at = words.index("held-out")
    return int(words[at - 3]), int(words[at - 1])


def test_the_command_of_the_readme_classifies_better_than_chance(tiny_checkpoint: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "classify.py"), "--checkpoint", str(tiny_checkpoint)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""  # bars are for terminals
    correct, clips = right(done.stdout)
    assert clips == 54
    assert clips / 5 * 1.6 < correct < clips  # five kinds; a perfect answer would make the task no test
    picture = matplotlib.image.imread(tmp_path / "classified" / "confusion.png")
    assert min(picture.shape[:2]) > 500
    with (tmp_path / "classified" / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == clips
    assert sum(row["is"] == row["classified as"] for row in rows) == correct


def test_the_head_on_disk_gives_the_predictions(tiny_checkpoint: Path, ports: Ports, tmp_path: Path) -> None:
    data = write_recordings(tmp_path / "data", ["trill", "hiss", "clicks"], 8)
    assert (
        run("--checkpoint", tiny_checkpoint, "--data", data, "--out", tmp_path / "out", "--encoder", "onnx").exit_code
        == 0
    )
    with safe_open(tmp_path / "out" / "head.safetensors", "pt") as file:
        weight, bias, about = file.get_tensor("weight"), file.get_tensor("bias"), file.metadata()
    assert about["activation"] == "softmax"
    assert sha256_of(tiny_checkpoint) in about["trained_on"]
    labels = json.loads(about["labels"])
    clips = {str(data / kind / f"{c.name}.wav"): c for kind in ("trill", "hiss", "clicks") for c in calls()[kind]}
    with (tmp_path / "out" / "predictions.csv").open() as stream:
        for row in csv.DictReader(stream):
            vector = torch.from_numpy(embed("fairseq", ports, [clips[row["clip"]]]))
            probabilities = (vector @ weight.T + bias).softmax(dim=1)[0]
            assert labels[int(probabilities.argmax())] == row["classified as"]
            assert [float(row[label]) for label in labels] == pytest.approx(probabilities.tolist(), abs=2e-4)


def test_several_labels_are_trained_with_binary_cross_entropy(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = write_recordings(tmp_path, ["trill", "hiss"], 12)
    rows = [f"{path.relative_to(folder)},{path.parent.name}" for path in sorted(folder.rglob("*.wav"))]
    rows += [f"hiss/hiss {number}.wav,{HOSTILE}" for number in range(1, 7)]
    (folder / "labels.csv").write_text("\n".join(["file,label", *rows]))
    done = run("--checkpoint", tiny_checkpoint, "--data", folder / "labels.csv", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "[/far] $x^$ \\x1b[2J" in done.output
    with safe_open(tmp_path / "out" / "head.safetensors", "pt") as file:
        assert file.metadata()["activation"] == "sigmoid"
        assert file.get_tensor("weight").shape[0] == 3
    data = read_labelled(folder / "labels.csv")
    held_out = data.truth[split(data)].sum(axis=0)
    assert (held_out >= 1).all()
    assert (held_out <= 5).all()
    with (tmp_path / "out" / "predictions.csv").open() as stream:
        sums = [sum(float(row[label]) for label in (HOSTILE, "hiss", "trill")) for row in csv.DictReader(stream)]
    assert not np.allclose(sums, 1, atol=0.01)


def test_labels_without_sense_are_not_learned(ports: Ports) -> None:
    data = synthesised()
    vectors = embed("torchaudio", ports, data.clips)
    senseless = replace(data, truth=np.random.default_rng(0).permutation(data.truth))
    for clips, low, high in ((data, 0.32, 1.0), (senseless, 0.0, 0.3)):
        held_out = split(clips)
        head = train_head(vectors, clips, ~held_out)
        chosen = head.choose(head.probabilities(vectors[held_out]))
        assert low < (chosen == clips.truth[held_out]).all(axis=1).mean() <= high


def test_of_each_label_the_same_share_is_held_out() -> None:
    data = synthesised()
    assert data.truth[split(data)].sum(axis=0).tolist() == [11, 11, 10, 11, 11]


def test_too_little_is_refused() -> None:
    few = {clip: {kind} for kind in ("trill", "hiss") for clip in calls()[kind][: 3 if kind == "hiss" else 9]}
    with pytest.raises(InputError, match="label 'hiss' has 3 usable clips; expected 4 or more"):
        split(labelled(few))
    with pytest.raises(InputError, match="one label is nothing to choose from: trill"):
        split(labelled({clip: {"trill"} for clip in calls()["trill"]}))


def test_options_that_do_not_go_together_and_missing_files_end_in_one_line(tmp_path: Path) -> None:
    for arguments in (
        ("--train-encoder", 1, "--compare"),
        ("--train-encoder", 1, "--encoder", "onnx"),
        ("--data", "x"),
    ):
        done = run(*arguments, "--out", tmp_path / "out")
        assert done.exit_code == 2
        assert done.output.startswith("Error: ")
        assert len(done.output.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_training_the_encoder_moves_the_transformer_and_not_the_convolutions(
    tiny_checkpoint: Path, ports: Ports, tmp_path: Path
) -> None:
    data, out = write_recordings(tmp_path / "data", ["trill", "hiss"], 10), tmp_path / "out"
    assert run("--checkpoint", tiny_checkpoint, "--data", data, "--train-encoder", 2, "--out", out).exit_code == 0
    config = out / "encoder.torchaudio.model_config.json"
    encoder = EncoderConfig.read(config)
    before = read_state_dict(ports.bundle.path("torchaudio"), encoder)
    after = read_state_dict(out / "encoder.torchaudio.pt", encoder)
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert any(name.startswith("encoder.transformer.layers.1.") for name in moved)
    assert not any(name.startswith("feature_extractor.") for name in moved)
    assert torchaudio_to_onnx(out / "encoder.torchaudio.pt", config, out / "encoder.onnx").exists()


def test_no_port_changes_a_prediction(tiny_checkpoint: Path, tmp_path: Path) -> None:
    done = run("--checkpoint", tiny_checkpoint, "--compare", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    forms = (*FORMS, *SMALLER)
    lines = {form: line.split() for form in forms for line in done.output.splitlines() if line.split()[:1] == [form]}
    assert set(lines) == set(forms)
    assert lines["torchaudio"][-2:] == lines["onnx"][-2:] == ["0", "0"]
    assert 0 < float(lines["onnx"][2]) < 1e-4 < float(lines["onnx.int8"][2])
    assert done.output.count("of 54 predictions change under fairseq's head") == len(SMALLER)
    assert done.output.count("95 % interval") == 2 * len(SMALLER) + 1


def test_what_a_smaller_port_changes_is_told_and_is_no_failure(good: Mapping[str, Vectors]) -> None:
    data = smaller(synthesised())
    held_out = split(data)
    vectors = {"fairseq": good["fairseq"], "onnx.int8": good["fairseq"][::-1].copy()}
    changes = compare(vectors, data, held_out)
    assert changes[1].exchanged > 0
    console = Console(record=True, width=200, file=io.StringIO())
    print_changes(changes, int(held_out.sum()), console)
    clips = held_out.sum()
    assert (
        f"onnx.int8: {changes[1].exchanged} of {clips} predictions change under fairseq's head" in console.export_text()
    )


@pytest.mark.parametrize("name", ["first convolutions exchanged", "positional kernel reversed"])
def test_a_planted_fault_changes_predictions(name: str, good: Mapping[str, Vectors], tiny_checkpoint: Path) -> None:
    fault = next(fault for fault in WEIGHT_FAULTS if fault.name == name)
    data = smaller(synthesised())
    with ports_of(tiny_checkpoint) as damaged:
        fault.damage(damaged.bundle.path("torchaudio"), damaged.bundle.path("config"))
        vectors = {**good, "torchaudio": embed("torchaudio", damaged, data.clips)}
    held_out = split(data)
    changes = {change.form: change for change in compare(vectors, data, held_out)}
    assert changes["torchaudio"].exchanged > 0
    assert changes["onnx"].exchanged == changes["onnx"].retrained == 0
    with pytest.raises(DoesNotHoldError, match=r"torchaudio: .* predictions are not those of fairseq"):
        print_changes(list(changes.values()), int(held_out.sum()), Console(quiet=True))
    print_changes(list(compare(good, data, held_out)), int(held_out.sum()), Console(quiet=True))


def smaller(data: LabelledClips) -> LabelledClips:
    return data.only(np.arange(len(data.clips)) % 2 == 0)
