import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.bundle import Bundle, hash_problems, read_bundle
from aves_artifacts.bundle.manifest import MANIFEST, REPORT
from aves_artifacts.files.file_record import FileRecord, file_record
from aves_artifacts.files.writing import staged


def test_a_bundle_is_read_as_it_was_made(tiny_bundle: Bundle) -> None:
    again = read_bundle(tiny_bundle.folder)
    assert again.manifest.to_json() == tiny_bundle.manifest.to_json()
    assert again.path("onnx") == tiny_bundle.folder / "aves-base-bio.onnx"
    assert hash_problems(again) == []


@pytest.mark.parametrize("role", ["torchaudio", "config", "safetensors", "heads", "onnx"])
def test_every_changed_or_missing_file_is_named(bundle: Bundle, role) -> None:
    changed = bundle.path(role)
    changed.write_bytes(bytes(b ^ 1 for b in changed.read_bytes()))
    (problem,) = hash_problems(bundle)
    assert changed.name in problem
    assert "differ" in problem
    changed.unlink()
    (problem,) = hash_problems(bundle)
    assert "missing" in problem


def test_a_manifest_that_was_edited_is_named(bundle: Bundle) -> None:
    path = bundle.folder / MANIFEST
    path.write_text(path.read_text().replace('"normalize": false', '"normalize": true'))
    (problem,) = hash_problems(read_bundle(bundle.folder))
    assert "manifest.json was changed after it was written" in problem


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no bundle"):
        read_bundle(tmp_path)


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot read the manifest"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_not_read(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / MANIFEST)
    with pytest.raises(InputError, match=r"cannot read the manifest: (it is a pipe or a device|Is a directory)"):
        read_bundle(tmp_path)


def test_staged_files_appear_together(tmp_path: Path) -> None:
    with staged(tmp_path, ["a", "b"], force=False) as staging:
        (staging / "a").write_text("1")
        (staging / "b").write_text("2")
        assert sorted(p.name for p in tmp_path.iterdir()) == [staging.name]
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_staging_refuses_existing_files_without_force(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("old")
    with (
        pytest.raises(InputError, match=r"b: already there.*give `force` to replace"),
        staged(tmp_path, ["a", "b"], force=False),
    ):
        pass
    with staged(tmp_path, ["a", "b"], force=True) as staging:
        (staging / "a").write_text("1")
        (staging / "b").write_text("2")
    assert (tmp_path / "b").read_text() == "2"


def test_what_an_earlier_run_wrote_and_this_one_does_not_goes_away(tmp_path: Path) -> None:
    for name in (REPORT, "x.onnx.data", "notes.txt"):
        (tmp_path / name).write_text("old")
    with staged(tmp_path, ["x.onnx.data", "x.onnx", REPORT, MANIFEST], force=True) as staging:
        (staging / "x.onnx").write_text("new")
        (staging / MANIFEST).write_text("new")
    assert sorted(os.listdir(tmp_path)) == ["manifest.json", "notes.txt", "x.onnx"]


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
    assert first == FileRecord("file", 1, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb")
    path.write_bytes(b"b")
    assert file_record(path) != first
