"""Recordings on a disk that cannot read them: rows, where the disk is well but for them, and nobody's fault else."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
from tests.support.corpora import record

from aves_artifacts.base.errors import InputError
from aves_artifacts.files import documents
from aves_verify.corpus import addresses, index, recorded_files, windows
from aves_verify.corpus.addresses import StoreError
from aves_verify.corpus.index import Recording, index_block
from aves_verify.corpus.listing import list_audio
from aves_verify.corpus.windows import ChangedError, Cutting, read_windows, stretches

CUTTING = Cutting(1.0, 1.0, 4)
Break = Callable[..., SimpleNamespace]


class Bad(io.FileIO):
    """A file whose bytes from a place on a disk cannot read, for the first so many times."""

    disk = SimpleNamespace(number=errno.EIO, begin=0, left=0, tried=0)

    def read(self, count: int = -1) -> bytes:
        if self.disk.left and self.tell() + count > self.disk.begin:
            self.disk.left -= 1
            self.disk.tried += 1
            raise OSError(self.disk.number, os.strerror(self.disk.number))
        return super().read(count)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Have files of these names fail, and nobody wait for long."""
    monkeypatch.setattr(addresses, "PATIENCE", 0.05)
    monkeypatch.setattr(addresses, "WAITS", (0.01, 0.01))

    def at(*names: str, number: int = errno.EIO, begin: int = 0, times: int = 10**6) -> SimpleNamespace:
        disk = SimpleNamespace(number=number, begin=begin, left=times, tried=0)

        def opened(path: Path) -> BinaryIO:
            if path.name not in names:
                return documents.open_file(path)
            file = Bad(path)
            file.disk = disk
            return io.BufferedReader(file)  # type: ignore[return-value]

        monkeypatch.setattr(addresses, "open_file", opened)
        monkeypatch.setattr(windows, "_kept", None)
        return disk

    return at


def indexed(*given: Path) -> dict[str, Recording]:
    return {each.name: each for each in index_block(list_audio([str(path) for path in given]))}


@pytest.mark.parametrize("number", [errno.EIO, errno.EBADMSG, errno.EUCLEAN])
@pytest.mark.parametrize(("whole", "begin"), [(10**9, 0), (1000, 20_000)])
def test_a_file_that_the_disk_cannot_read_is_a_row(
    tmp_path: Path, broken: Break, monkeypatch: pytest.MonkeyPatch, number: int, whole: int, begin: int
) -> None:
    for name in ("a.wav", "bad.wav", "c.wav"):
        record(tmp_path / "sea" / name, 1)
    monkeypatch.setattr(index, "WHOLE", whole)
    disk = broken("bad.wav", number=number, begin=begin)
    found = indexed(tmp_path / "sea")
    assert {name: each.reason for name, each in found.items()} == {
        "a.wav": "",
        "bad.wav": f"bad.wav: cannot be read: {os.strerror(number)}",
        "c.wav": "",
    }
    assert found["bad.wav"].sha256 == ""  # so that the next run looks again
    assert disk.tried > 2


def test_what_can_be_read_at_a_second_try_is_read(tmp_path: Path, broken: Break) -> None:
    path = record(tmp_path / "a.wav", 1)
    expected = indexed(path)
    disk = broken("a.wav", times=2)
    assert indexed(path) == expected
    assert disk.tried == 2


def test_of_a_tar_the_members_before_a_bad_place_are_read(tmp_path: Path, broken: Break) -> None:
    import tarfile

    path = record(tmp_path / "a.wav", 1)
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name in ("one.wav", "two.wav"):
            tar.add(path, name)
    broken("x.tar", begin=60_000)
    reasons = [each.reason for each in indexed(tmp_path / "x.tar").values()]
    assert reasons == ["", "x.tar: cannot be read: Input/output error"]


def test_a_file_system_that_does_not_answer_is_no_fault_of_the_recording(
    tmp_path: Path, broken: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One over a network gives the same number for all files, and for what is free on it."""
    path = record(tmp_path / "a.wav", 1)
    broken("a.wav")

    def silent(_: str) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(addresses.shutil, "disk_usage", silent)
    with pytest.raises(StoreError, match=r"a\.wav: the store does not give it: Input/output error"):
        indexed(path)


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EMFILE, errno.ENOMEM])
def test_what_this_machine_lacks_is_no_fault_of_the_recording(tmp_path: Path, broken: Break, number: int) -> None:
    path = record(tmp_path / "a.wav", 1)
    broken("a.wav", number=number)
    with pytest.raises(StoreError):
        indexed(path)


@pytest.mark.parametrize("whole", [10**9, 1000])
def test_what_could_be_read_when_it_was_indexed_is_no_row(
    tmp_path: Path, broken: Break, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    """A part follows from the bytes alone, which another machine may have."""
    path = record(tmp_path / "a.wav", 2)
    (recording,) = indexed(path).values()
    monkeypatch.setattr(windows, "WHOLE", whole)
    broken("a.wav", begin=20_000)
    (stretch,) = stretches(recording, CUTTING)
    with pytest.raises(ChangedError, match="Input/output error; it could be read when it was indexed"):
        list(windows.windows_or_reasons(stretch, CUTTING))


def test_no_room_for_a_copy_is_no_fault_of_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an MP3 that begins with something else libsndfile wants a file of its own."""
    path = record(tmp_path / "phone.mp3", 1)
    path.write_bytes(b"junk" * 300 + path.read_bytes())
    (recording,) = indexed(path).values()
    assert recording.reason == ""

    class Full:
        def __init__(self, **_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recorded_files.tempfile, "NamedTemporaryFile", Full)
    with pytest.raises(StoreError, match=r"phone\.mp3: cannot be decoded here: No space left on device"):
        indexed(path)
    (stretch,) = stretches(recording, CUTTING)
    with pytest.raises(StoreError, match="No space left"):
        list(read_windows(stretch, CUTTING))


def test_an_address_that_leads_through_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in ("/dev/zero", f"file://{tmp_path}/pipe", str(tmp_path)):
        with pytest.raises(InputError, match="is no file; give a file, or a folder alone"):
            list_audio([f"zip://a.wav::{place}"])


def test_a_folder_of_any_depth(tmp_path: Path) -> None:
    """Deeper than the stack; a path to its end is longer than a system takes, so it is made step by step."""
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(1500):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        content = record(tmp_path / "a.wav", 0.1).read_bytes()
        (tmp_path / "a.wav").unlink()
        with os.fdopen(os.open("a.wav", os.O_CREAT | os.O_WRONLY, dir_fd=here), "wb") as file:
            file.write(content)
        (found,) = indexed(tmp_path).values()
        assert found.name == "d/" * 1500 + "a.wav"
        assert found.reason == ""
    finally:
        os.close(here)
        _remove_deep(tmp_path)


def _remove_deep(folder: Path) -> None:
    """As pytest's own way of it has no end of the stack either."""
    while (folder / "d" / "d").is_dir():
        (folder / "d").rename(folder / "e")
        (folder / "e" / "d").rename(folder / "d")
        (folder / "e").rmdir()
