"""A folder's files are found once each, through links to folders too, and no circle of links has no end."""

from pathlib import Path

import pytest

from aves_artifacts.files.walking import visible_files


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_files_at_any_depth_and_nothing_hidden(tmp_path: Path) -> None:
    touch(tmp_path, "b", "a.b/c", "a/c", ".hidden", ".cache/d", "a/.git/e")
    assert visible_files(tmp_path) == ["a.b/c", "a/c", "b"]
    assert visible_files(str(tmp_path / "a")) == ["c"]


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "disk/x", "disk/deep/y", "far/z")
    folder = touch(tmp_path / "given", "own/a")
    (folder / "linked").symlink_to(tmp_path / "disk")
    (folder / "own" / "more").symlink_to("../../far")
    (folder / ".hidden").symlink_to(tmp_path / "disk")
    (tmp_path / "far" / "beyond").symlink_to(tmp_path / "disk" / "deep")  # known by its place already
    assert visible_files(folder) == ["linked/deep/y", "linked/x", "own/a", "own/more/z"]
    (tmp_path / "itself").symlink_to(folder)
    assert visible_files(tmp_path / "itself") == visible_files(folder)


def test_no_folder_comes_twice_and_its_own_name_is_preferred(tmp_path: Path) -> None:
    touch(tmp_path, "m/x")
    (tmp_path / "a").symlink_to("m")
    (tmp_path / "z").symlink_to("m")
    assert visible_files(tmp_path) == ["m/x"]


def test_circles_end(tmp_path: Path) -> None:
    folder = touch(tmp_path / "given", "a/x", "b/y")
    touch(tmp_path, "beside")
    (folder / "a" / "again").symlink_to("../b")
    (folder / "b" / "again").symlink_to("../a")
    (folder / "up").symlink_to("..")
    (folder / "self").symlink_to(".")
    assert visible_files(folder) == ["a/x", "b/y"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        visible_files(tmp_path / "gone")
