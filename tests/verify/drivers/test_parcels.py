"""Files in pieces: whole and checked, or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from aves_verify.drivers import parcels
from aves_verify.drivers.parcels import Parcel, packed, pieces, put


def sent(parcel: Parcel, root: Path) -> list[str]:
    return [put(root, parcel, at, piece, "me") for at, piece in pieces(parcel)]


def test_files_arrive_whole_with_their_names_and_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcels, "_PIECE", 10)
    contents = {"one/a": b"x" * 25, "one/b": b"", "two/a": b"y" * 20}
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    there = tmp_path / "there"
    made = packed([tmp_path / name for name in contents])
    assert [sent(parcel, there) for parcel in made] == [[""] * 3, [""], [""] * 2]
    assert [parcel.lies(there).read_bytes() for parcel in made] == [*contents.values()]
    assert [parcel.lies(there).name for parcel in made] == ["a", "b", "a"]
    assert made[0].folder == made[1].folder != made[2].folder
    assert all(parcel.is_at(there) for parcel in made)


def test_a_file_that_changes_meanwhile_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (parcel,) = packed([tmp_path / "a"])
    (tmp_path / "a").write_bytes(b"two")
    assert "arrived changed" in sent(parcel, tmp_path / "there")[-1]
    assert not parcel.is_at(tmp_path / "there")
    assert not [path for path in (tmp_path / "there").rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (parcel,) = packed([tmp_path / "a"])
    (tmp_path / "there").write_bytes(b"")
    assert sent(parcel, tmp_path / "there") == ["a cannot be written: Not a directory"]
