"""Parts are whole or not there, and a full disk ends a run."""

import errno
import os
from pathlib import Path

import pytest

from aves_artifacts.base.errors import InputError
from aves_artifacts.files import writing as files
from aves_artifacts.files.address import open_address
from aves_verify.drivers.job import StopError
from aves_verify.parts.writing import is_whole, whole_parts, write_part

END = b"PK\x05\x06" + bytes(18)


def test_whole_parts_alone_are_there(tmp_path: Path) -> None:
    parts = open_address(str(tmp_path))
    for name, content in (("a.parquet", b"PAR1"), ("b.parquet", b"PAR1x"), ("c.parquet", b""), ("d.zip", END),
                          ("e.zip", END[:-1]), ("f.safetensors", b"x"), ("g.safetensors", b"")):  # fmt: skip
        (tmp_path / name).write_bytes(content)
    names = [path.name for path in tmp_path.iterdir()]
    assert whole_parts(parts, [*names, "h.parquet"]) == {"a.parquet", "d.zip", "f.safetensors"}
    assert not is_whole(parts, "h.parquet")


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, StopError), (errno.EDQUOT, StopError), (errno.EROFS, StopError), (errno.EIO, InputError)],
)
def test_a_full_disk_ends_the_run(
    number: int, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", fails)
    with pytest.raises(InputError) as raised:
        write_part(open_address(str(tmp_path)), "a.parquet", b"PAR1")
    assert type(raised.value) is error
    assert "a.parquet" in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(files, "make_folder", forbidden)
    with pytest.raises(StopError, match="Permission denied"):
        write_part(open_address(str(tmp_path / "new")), "a.parquet", b"PAR1")
