"""Records of files, and one of several files together."""

import subprocess
from pathlib import Path

import pytest

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.file_record import file_record, folder_record, folder_sha256, sha256_of


def test_a_folder_has_the_hash_of_what_sha256sum_prints(tmp_path: Path) -> None:
    folder = tmp_path / "owls"
    folder.mkdir()
    for name, content in (("b.json", "1"), ("a.safetensors", "22"), ("not of it", "333")):
        (folder / name).write_text(content)
    found = folder_record(folder, [folder / "b.json", folder / "a.safetensors"])
    command = ["sha256sum", "a.safetensors", "b.json"]
    lines = subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout
    (tmp_path / "lines").write_bytes(lines)
    assert (found.name, found.size, found.sha256) == ("owls", 3, sha256_of(tmp_path / "lines"))


def test_the_order_and_the_place_of_the_files_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    one, other = (
        folder_record(tmp_path, [tmp_path / "a", tmp_path / "b"]),
        folder_record(Path(), [Path("b"), Path("a")]),
    )
    assert one == other
    assert one.sha256 != folder_sha256(
        {"a": file_record(tmp_path / "b").sha256, "b": file_record(tmp_path / "a").sha256}
    )


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone"):
        folder_record(tmp_path, [tmp_path / "gone"])
