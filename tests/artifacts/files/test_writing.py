import errno
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.writing import check_writable, creating, make_folder, replacing, staged


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with replacing(path) as temporary:
        temporary.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert os.listdir(path.parent) == ["file"]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes with a name")
@pytest.mark.parametrize(
    "begin", [lambda path: replacing(path).__enter__(), lambda path: creating(path).__enter__(), check_writable]
)
def test_a_pipe_or_a_device_is_not_replaced(begin: Callable[[Path], Any], tmp_path: Path) -> None:
    """Root could replace /dev/null."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(InputError, match="cannot write here: it is a pipe or a device, expected a file"):
            begin(tmp_path / name)
        assert (tmp_path / name).is_fifo()
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]


def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    program = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from aves_artifacts.files.writing import make_folder, replacing, staged
        with replacing(Path(sys.argv[1])) as temporary:
            temporary.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").write_bytes(b"a file")
    with pytest.raises(InputError, match="cannot write here"), replacing(tmp_path / "folder" / "file"):
        pass


def test_the_file_has_ordinary_permissions(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        with replacing(tmp_path / "file") as temporary:
            temporary.write_bytes(b"")
    finally:
        os.umask(umask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_a_library_that_makes_a_private_file_changes_no_permissions(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        with replacing(tmp_path / "file") as temporary:
            (tmp_path / "private").touch(mode=0o600)
            (tmp_path / "private").replace(temporary)
    finally:
        os.umask(umask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_an_error_names_the_file_and_not_where_it_lies_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with (
        pytest.raises(InputError) as found,
        staged(tmp_path / "out", ["x", "y"], force=False) as staging,
        replacing(staging / "y"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert found.value.problems == (f"{tmp_path / 'out' / 'y'}: cannot write: No space left on device",)
    assert os.listdir(tmp_path / "out") == []


NAMES = ["x", "in/y", "in/z", "last"]


def stage(folder: Path, *names: str) -> None:
    with staged(folder, NAMES, force=True) as staging:
        for name in names:
            (staging / name).parent.mkdir(exist_ok=True)
            (staging / name).write_text(name)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_names_may_have_a_folder_of_their_own(tmp_path: Path) -> None:
    stage(tmp_path, "x", "in/y", "last")
    assert files(tmp_path) == ["in", "in/y", "last", "x"]
    stage(tmp_path, "x", "in/z", "last")
    assert files(tmp_path) == ["in", "in/z", "last", "x"]
    stage(tmp_path, "x", "last")
    assert files(tmp_path) == ["last", "x"]  # and nothing is left that an earlier run has made
    stage(tmp_path, "in/y", "last")
    (tmp_path / "in" / "mine").write_text("x")
    stage(tmp_path, "last")
    assert files(tmp_path) == ["in", "in/mine", "last"]
    (tmp_path / "in" / "z").write_text("x")
    with pytest.raises(InputError, match="in/z: already there"), staged(tmp_path, ["in/z", "new"], force=False):
        pass


def test_a_file_in_the_place_of_such_a_folder_is_told_before_anything_changes(tmp_path: Path) -> None:
    stage(tmp_path, "x", "last")
    (tmp_path / "in").write_text("mine")
    with pytest.raises(InputError, match="in: this is a file, expected a folder"):
        stage(tmp_path, "in/y", "last")
    assert files(tmp_path) == ["in", "last", "x"]


def test_a_folder_of_more_parts_than_the_stack_has_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    deep = Path("/".join(["d"] * 1500))
    with replacing(deep / "file") as temporary:
        temporary.write_text("x")
    assert (deep / "file").read_text() == "x"
    with staged(deep / "more", ["file"], force=False) as staging:
        (staging / "file").write_text("y")
    assert (deep / "more" / "file").read_text() == "y"
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # shutil cannot, and pytest would try


def test_a_folder_cannot_be_made_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "a" / "b"):
        with pytest.raises(OSError, match=r"exists|directory"):
            make_folder(path)
