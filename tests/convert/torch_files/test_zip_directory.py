"""Where the entries of an archive lie, in archives of every size."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from tests.support.pickle_bytes import pickled, tensor
from tests.support.saved_files import SIX, reading, same, written
from tests.support.torch_file_bytes import SIX_FLOATS, STORAGE, Entry, archive, data_pkl, torch_zip, zip64

from aves_artifacts.base.errors import InputError
from aves_convert.torch_files import zip_directory
from aves_convert.torch_files.reader import open_torch_file


def test_zip64(tmp_path: Path) -> None:
    path = written(tmp_path, archive(data_pkl(tensor()), STORAGE, before_end=zip64))

    same(reading(open_torch_file(path).root), SIX)


def test_zip64_sizes_of_an_entry(tmp_path: Path) -> None:
    """As in files above 4 GB, after a field of another kind, which torch.save uses for padding."""
    full, first = 0xFFFFFFFF, data_pkl(tensor())
    offset = 30 + len(first.name) + len(first.content)
    padding = struct.pack("<2H3s", 0x4246, 3, b"ZZZ")
    wide = struct.pack("<2H3Q", 1, 24, 24, 24, offset)
    stored = Entry(STORAGE.name, SIX_FLOATS, packed=full, size=full, offset=full, extra=padding + wide)

    same(reading(open_torch_file(written(tmp_path, archive(first, stored))).root), SIX)


def test_files_without_checksums(tmp_path: Path) -> None:
    path = written(
        tmp_path, archive(Entry("a/data.pkl", pickled(tensor()), crc=0), Entry("a/data/0", SIX_FLOATS, crc=0))
    )

    same(reading(open_torch_file(path).root), SIX)


def test_a_directory_of_too_many_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, torch_zip(tensor()))
    monkeypatch.setattr(zip_directory, "MAX_ENTRIES", 2)
    with pytest.raises(InputError, match="more than 2 entries"):
        open_torch_file(path)
