"""The way there and back is bit for bit, and what cannot be written leaves nothing."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.support import peoples_files
from tests.support.commands import invoke
from tests.support.fairseq_models import Variant, build
from tests.support.round_trip import assert_same_checkpoint
from tests.support.transformers_folders import FINE_TUNED, VARIANTS, source

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.bundle import read_bundle
from aves_artifacts.bundle.manifest import TRANSFORMERS
from aves_artifacts.files.file_record import folder_sha256, sha256_of
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.cli import main
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.convert import fairseq_to_torchaudio, torchaudio_to_fairseq
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.transformers import fairseq_to_transformers
from aves_convert.weights.to_transformers import FOLDER_FILES

run = functools.partial(invoke, main)


def there_and_back(original: Source, folder: Path) -> None:
    """To transformers, to TorchAudio, to fairseq: the second gives the bytes that fairseq gives."""
    fairseq_to_transformers(original, folder / "transformers")
    direct = fairseq_to_torchaudio(original, Target(folder / "direct", "x"))
    roundabout = fairseq_to_torchaudio(Source(folder / "transformers"), Target(folder / "roundabout", "x"))
    for one, other in zip(direct, roundabout, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    weights, config = roundabout
    torchaudio_to_fairseq(weights, config, original.path, folder / "back.pt", pretrained=original.pretrained)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_returns_bit_by_bit(variant: str, tmp_path: Path) -> None:
    original = source(variant, tmp_path)
    there_and_back(original, tmp_path)
    assert_same_checkpoint(tmp_path / "back.pt", original.path)


@pytest.mark.slow
def test_contentvec_returns_too(tmp_path: Path) -> None:
    """The layers behind the encoder's stay those of the checkpoint."""
    made = build(Variant(labels=(20,)), tmp_path)
    path = peoples_files.saved(peoples_files.contentvec(made), tmp_path / "contentvec.pt")
    there_and_back(Source(path), tmp_path)
    assert_same_checkpoint(tmp_path / "back.pt", path)


# --- files
def test_the_files_are_told_and_no_others_written(tmp_path: Path) -> None:
    written = fairseq_to_transformers(source("base", tmp_path), tmp_path / "out")
    names = ["model.safetensors", "preprocessor_config.json", "config.json"]
    assert [path.name for path in written] == names
    assert sorted(os.listdir(tmp_path / "out")) == sorted(names)
    letters = fairseq_to_transformers(source("hubert-ctc", tmp_path), tmp_path / "letters")
    assert [path.name for path in letters] == list(FOLDER_FILES)


def test_files_that_are_there_are_kept_or_replaced_as_a_whole(tmp_path: Path) -> None:
    """A folder that had letters has none of them afterwards."""
    out = tmp_path / "out"
    fairseq_to_transformers(source("hubert-ctc", tmp_path), out)
    (out / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in out.iterdir()}
    other = source("base", tmp_path)
    with pytest.raises(InputError, match="already there"):
        fairseq_to_transformers(other, out)
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    fairseq_to_transformers(other, out, force=True)
    assert sorted(os.listdir(out)) == ["config.json", "model.safetensors", "notes.txt", "preprocessor_config.json"]
    assert (out / "notes.txt").read_text() == "mine"


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no final_proj"):
        fairseq_to_transformers(source("hubert-ctc", tmp_path), tmp_path / "out", heads=True)
    assert not (tmp_path / "out").exists()


def test_a_folder_is_no_source_of_one(tmp_path: Path) -> None:
    fairseq_to_transformers(source("base", tmp_path), tmp_path / "folder")
    result = run("fairseq2transformers", tmp_path / "folder", "--out", tmp_path / "again")
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1)
    assert "is a folder of transformers already; copy it" in result.output
    assert not (tmp_path / "again").exists()


# --- the commands
def test_the_commands_go_there_and_back(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder, ports, back = tmp_path / "tiny", tmp_path / "ports", tmp_path / "back.pt"
    result = run("fairseq2transformers", tiny_checkpoint, "--out", folder, "--heads")
    assert result.exit_code == 0, result.output
    assert result.output.split() == [str(folder / name) for name in FOLDER_FILES if (folder / name).exists()]
    result = run("transformers2torchaudio", folder, "--out", ports)
    assert result.exit_code == 0, result.output
    assert sorted(os.listdir(ports)) == ["tiny.torchaudio.model_config.json", "tiny.torchaudio.pt"]
    weights, config = ports / "tiny.torchaudio.pt", ports / "tiny.torchaudio.model_config.json"
    result = run("torchaudio2fairseq", weights, "--config", config, "--like", tiny_checkpoint, "--out", back)
    assert result.exit_code == 0, result.output
    assert_same_checkpoint(back, tiny_checkpoint)


def test_centroids_have_no_place_there(tiny_checkpoint: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.zeros((3, 24), np.float32))
    words = ("--out", tmp_path / "out", "--centroids", tmp_path / "c.npy")
    result = run("fairseq2transformers", tiny_checkpoint, *words)
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1)
    assert "leave --centroids out" in result.output


# --- in a bundle
@pytest.mark.parametrize("variant", ["base", *FINE_TUNED])
def test_a_bundle_has_the_same_folder(variant: str, tmp_path: Path) -> None:
    original = source(variant, tmp_path)
    made = make_bundle(original, Target(tmp_path / "bundle", "x", also=("transformers",)))
    alone = {path.name: path.read_bytes() for path in fairseq_to_transformers(original, tmp_path / "alone")}
    beside = {path.name: path.read_bytes() for path in (tmp_path / "bundle" / "x.transformers").iterdir()}
    assert alone == beside
    roles = [role for role in TRANSFORMERS if role in made.manifest.files]
    assert len(roles) == len(alone)
    assert all(sha256_of(made.path(role)) == made.manifest.files[role].sha256 for role in roles)
    assert read_bundle(tmp_path / "bundle").manifest == made.manifest


@pytest.mark.parametrize(
    ("value", "told"),
    [("nonsense", "no port is called 'nonsense'"), ("transformers,x", "called 'x'")],
)
def test_a_port_that_there_is_not(value: str, told: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    result = run("bundle", tiny_checkpoint, "--out", tmp_path / "out", "--with", value)
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1)
    assert told in result.output
    assert not (tmp_path / "out").exists()


def test_a_bundle_made_again_without_the_folder_has_none(tiny_checkpoint: Path, tmp_path: Path) -> None:
    words = ("bundle", tiny_checkpoint, "--out", tmp_path / "b")
    assert run(*words, "--with", "transformers").exit_code == 0
    result = run(*words)
    assert (result.exit_code, "already there" in result.output) == (2, True)
    assert run(*words, "--force").exit_code == 0
    assert not [path for path in (tmp_path / "b").rglob("*.transformers/*") if path.is_file()]


@pytest.mark.parametrize("words", [(), ("--with", "transformers")])
def test_a_file_where_the_folder_would_be_is_told(
    words: tuple[str, ...], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "tiny.transformers").write_text("mine")
    result = run("bundle", tiny_checkpoint, "--out", tmp_path / "b", *words)
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1), result.output
    assert "tiny.transformers: a file is there" in result.output
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["tiny.transformers"]


# --- as a source
@pytest.mark.parametrize("variant", ["base", *FINE_TUNED])
def test_a_bundle_of_a_folder_has_the_same_ports(variant: str, tmp_path: Path) -> None:
    original = source(variant, tmp_path)
    written = fairseq_to_transformers(original, tmp_path / "folder", heads=variant == "base")
    result = run("bundle", tmp_path / "folder", "--out", tmp_path / "b", "--name", "x")
    assert result.exit_code == 0, result.output
    assert f"next: aves-verify --bundle {tmp_path / 'b'} --transformers {tmp_path / 'folder'}" in result.output
    made, expected = read_bundle(tmp_path / "b"), make_bundle(original, Target(tmp_path / "expected", "x"))
    for role in ("torchaudio", "config", "safetensors"):
        assert made.manifest.files[role] == expected.manifest.files[role]  # type: ignore[index]
    record = made.manifest.source
    assert (record.format, record.name) == ("transformers", "folder")
    assert record.size == sum(path.stat().st_size for path in written)
    assert record.sha256 == folder_sha256({path.name: sha256_of(path) for path in written})
    tensors = read_checkpoint(tmp_path / "folder").tensors
    assert [entry.source for entry in made.manifest.ledger] == list(tensors)
    dropped = {entry.source for entry in made.manifest.ledger if entry.action == "dropped"}
    mask = {name for name in tensors if name.endswith("masked_spec_embed")}
    assert dropped == mask | ({"final_proj.weight", "final_proj.bias"} if variant == "base" else set())
    assert ("heads" in made.manifest.files) is (variant == "base")
    if variant == "base":
        assert made.manifest.files["onnx"].size == expected.manifest.files["onnx"].size


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_what_a_bundle_is_made_of_is_not_replaced(
    force: tuple[str, ...], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """A bundle called model has a model.safetensors, as every folder of transformers."""
    folder = tmp_path / "model"
    fairseq_to_transformers(Source(tiny_checkpoint), folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    result = run("bundle", folder, "--out", folder, *force)
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1), result.output
    assert "model.safetensors: is what the bundle is made of; choose another folder" in result.output
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_the_port_for_transformers_of_a_folder_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    fairseq_to_transformers(Source(tiny_checkpoint), tmp_path / "folder")
    result = run("bundle", tmp_path / "folder", "--out", tmp_path / "b", "--with", "transformers")
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1)
    assert "is a folder of transformers already; copy it beside the bundle" in result.output
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_folder_that_changes_while_it_is_read(
    name: str, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aves_convert.conversion import convert

    fairseq_to_transformers(Source(tiny_checkpoint), tmp_path / "folder")

    def change(checkpoint: object, **options: object) -> object:
        content = (tmp_path / "folder" / name).read_bytes()
        (tmp_path / "folder" / "new").write_bytes(content)
        (tmp_path / "folder" / "new").replace(tmp_path / "folder" / name)
        return real(checkpoint, **options)  # type: ignore[arg-type]

    real = convert.to_torchaudio
    monkeypatch.setattr(convert, "to_torchaudio", change)
    for make in (make_bundle, fairseq_to_torchaudio):
        with pytest.raises(InputError, match=f"{name}: changed while it was read"):
            make(Source(tmp_path / "folder"), Target(tmp_path / "out", "x"))
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [("--pretrained", "x.pt"), ("--geometry", "base")])
@pytest.mark.parametrize("command", ["bundle", "fairseq2torchaudio", "fairseq2onnx"])
def test_what_completes_a_file_does_not_complete_a_folder(
    command: str, words: tuple[str, str], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    fairseq_to_transformers(Source(tiny_checkpoint), tmp_path / "folder")
    given = (words[0], tiny_checkpoint if words[0] == "--pretrained" else words[1])
    result = run(command, tmp_path / "folder", "--out", tmp_path / "out", *given)
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1)
    assert "has its settings in it" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_neither_way_needs_torch_or_transformers(tiny_checkpoint: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from aves_convert.cli import main; main(sys.argv[1:])"
    )
    for words in (
        ("fairseq2transformers", str(tiny_checkpoint), "--out", "folder"),
        ("transformers2torchaudio", "folder", "--out", "ports"),
        ("bundle", "folder", "--out", "b"),
        ("inspect", "folder"),
    ):
        command = [sys.executable, "-c", program, *words]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
