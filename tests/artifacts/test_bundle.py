import dataclasses
import json
import os
from pathlib import Path

import pytest

from aves_artifacts.bundle import FILE_NAMES, MANIFEST, Manifest, file_record, hash_problems, read_bundle, staged
from aves_artifacts.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    records = {}
    for role, template in FILE_NAMES.items():
        path = tmp_path / template.format(name="x")
        path.write_text(role)
        records[role] = file_record(path)
    ledger = ({"source": "a", "target": "b"}, {"source": "c", "target": None})
    manifest = Manifest("x", records, source={"sha256": "0"}, encoder={"normalize": False}, ledger=ledger)
    (tmp_path / MANIFEST).write_text(manifest.to_json())
    return tmp_path


def test_a_manifest_survives_writing_and_reading(folder: Path) -> None:
    bundle = read_bundle(folder)
    assert bundle.manifest.to_json() == (folder / MANIFEST).read_text()
    assert bundle.path("onnx") == folder / "x.onnx"
    assert hash_problems(bundle) == []


@pytest.mark.parametrize("role", list(FILE_NAMES))
def test_every_changed_or_missing_file_is_named(folder: Path, role) -> None:
    bundle = read_bundle(folder)
    changed = bundle.path(role)
    changed.write_bytes(bytes(b ^ 1 for b in changed.read_bytes()))
    (problem,) = hash_problems(bundle)
    assert changed.name in problem
    assert "differ" in problem
    changed.unlink()
    (problem,) = hash_problems(bundle)
    assert "missing" in problem


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no bundle"):
        read_bundle(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: entries.update(schema=2), "schema 2"),
        (lambda entries: entries.pop("ledger"), "not a bundle's manifest"),
        (lambda entries: entries.update(files=7), "not a bundle's manifest"),
        (lambda entries: entries["files"].pop("onnx"), "names no onnx file"),
        (lambda entries: entries["files"]["onnx"].update(name="../x.onnx"), "no plain file name"),
        (lambda entries: entries["files"]["onnx"].update(name=3), "no plain file name"),
        (lambda entries: entries["files"]["onnx"].pop("size"), "not a bundle's manifest"),
        (lambda entries: entries["files"]["onnx"].update(size="1"), "size is no int"),
        (lambda entries: entries.update(encoder=[]), "encoder is no dict"),
        (lambda entries: entries["encoder"].update(normalize="no"), "normalize is no bool"),
        (lambda entries: entries.update(source=[]), "source is no dict"),
        (lambda entries: entries.update(name=1), "name is no str"),
        (lambda entries: entries.update(ledger=[1]), "ledger is no dict"),
    ],
)
def test_a_damaged_manifest_is_refused(folder: Path, change, message: str) -> None:
    entries = json.loads((folder / MANIFEST).read_text())
    change(entries)
    (folder / MANIFEST).write_text(json.dumps(entries))
    with pytest.raises(InputError, match=message):
        read_bundle(folder)


def test_a_manifest_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot read the manifest"):
        read_bundle(folder)


def test_staged_files_appear_together(tmp_path: Path) -> None:
    with staged(tmp_path, ["a", "b"], force=False) as staging:
        (staging / "a").write_text("1")
        (staging / "b").write_text("2")
        assert sorted(p.name for p in tmp_path.iterdir()) == [staging.name]
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_staging_refuses_existing_files_without_force(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("old")
    with pytest.raises(InputError, match=r"b already there.*--force"), staged(tmp_path, ["a", "b"], force=False):
        pass
    with staged(tmp_path, ["a", "b"], force=True) as staging:
        (staging / "a").write_text("1")
        (staging / "b").write_text("2")
    assert (tmp_path / "b").read_text() == "2"


def test_an_error_while_staging_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("old")

    def fails() -> None:
        with staged(tmp_path, ["a", "b"], force=True) as staging:
            (staging / "a").write_text("1")
            raise InputError("no")

    with pytest.raises(InputError, match="no"):
        fails()
    assert os.listdir(tmp_path) == ["b"]
    assert (tmp_path / "b").read_text() == "old"


def test_records_differ_by_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a")
    first = file_record(path)
    assert first == dataclasses.replace(
        first, sha256="ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    )
    path.write_bytes(b"b")
    assert file_record(path) != first
