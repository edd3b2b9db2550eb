"""A file's bytes are those of the file, however they are asked for; one that is cut off is told."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.file_bytes import _PIECE, _STEP, _WINDOW, FileBytes

CONTENT = np.random.default_rng(0).bytes(_PIECE + 3 * _WINDOW + 7)
PLACES = [0, 1, 7, _STEP, _WINDOW - 1, _WINDOW, _WINDOW + 1, 2 * _WINDOW, len(CONTENT) - 1, len(CONTENT)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(CONTENT)
    return tmp_path / "file"


def test_it_is_read_as_bytes_are(path: Path) -> None:
    data = FileBytes(path)
    assert len(data) == len(CONTENT)
    for start in PLACES:
        for stop in PLACES:
            assert data[start:stop] == CONTENT[start:stop]
            assert data.find(b"\n", start, stop) == CONTENT.find(b"\n", start, stop)
        assert data[-start:] == CONTENT[-start:]
        assert start == len(CONTENT) or data[start] == CONTENT[start]
        assert data.array(start, len(CONTENT) - start).tobytes() == CONTENT[start:]
        assert data.crc32(start, len(CONTENT) - start) == zlib.crc32(CONTENT[start:])
    with pytest.raises(IndexError):
        data[len(CONTENT)]


def test_bytes_that_follow_one_another(path: Path) -> None:
    data = FileBytes(path)
    assert bytes(data[at] for at in range(len(CONTENT))) == CONTENT
    assert b"".join(data[at : at + 5] for at in range(0, len(CONTENT), 5)) == CONTENT


def test_a_file_that_is_cut_off_is_told(path: Path) -> None:
    data = FileBytes(path)
    os.truncate(path, 100)
    for ask in (lambda: data[200], lambda: data[2 * _WINDOW :], lambda: data.array(0, 101)):
        with pytest.raises(InputError, match="file: became shorter while it was read; try again once it is complete"):
            ask()


def test_an_array_is_its_own(path: Path) -> None:
    array = FileBytes(path).array(0, 4)
    array[:] = 0
    assert path.read_bytes() == CONTENT


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="does not list open files")
def test_it_is_closed_when_nobody_has_it(path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    data = FileBytes(path)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del data
    assert len(os.listdir("/proc/self/fd")) == before
