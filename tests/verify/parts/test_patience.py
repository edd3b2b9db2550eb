"""Parts are written whole, offered again to a store that is away, and told of where it stays away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.address import open_address
from aves_verify.drivers.job import StopError
from aves_verify.parts import writing
from aves_verify.parts.writing import damaged_parts, is_whole, read_part, whole_parts, write_part


class _Away(MemoryFileSystem):
    """A store that does not answer so many times."""

    protocol = "away"
    store: dict[str, object] = {}  # noqa: RUF012 - as the class above has it
    pseudo_dirs: list[str] = [""]  # noqa: RUF012
    times = 0

    def _answers(self) -> None:
        if _Away.times:
            _Away.times -= 1
            raise TimeoutError("not now")

    def pipe_file(self, path: str, value: bytes, **more: object) -> None:
        self._answers()
        super().pipe_file(path, value, **more)

    def cat_file(self, path: str, **more: object) -> bytes:
        self._answers()
        return bytes(super().cat_file(path, **more))

    def find(self, path: str, **more: object) -> list[str]:
        self._answers()
        return list(super().find(path, **more))


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    fsspec.register_implementation("away", _Away, clobber=True)
    monkeypatch.setattr(writing, "WAITS", (0.01, 0.02))
    yield "away://x"
    _Away.store.clear()
    _Away.times = 0


def test_a_store_that_is_away_for_a_while_gets_and_gives_everything(away: str) -> None:
    parts = open_address(away)
    for times in range(3):
        _Away.times = times
        write_part(parts, "a.parquet", b"content PAR1")
        _Away.times = times
        assert is_whole(parts, "a.parquet")
        _Away.times = times
        assert whole_parts(parts, ["a.parquet", "b.parquet"]) == {"a.parquet"}
        _Away.times = times
        assert read_part(parts, "a.parquet") == b"content PAR1"


def test_one_that_stays_away_ends_the_run(away: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PATIENCE", 0.1)
    parts = open_address(away)
    for work in (lambda: write_part(parts, "a", b"b"), lambda: is_whole(parts, "a"), lambda: whole_parts(parts, "a")):
        _Away.times = 1000
        with pytest.raises(StopError, match=r"away://x/.*not now; what is done stays done: run again when it answers"):
            work()


def test_a_folder_that_cannot_be_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        write_part(open_address(str(tmp_path / "file" / "parts")), "a", b"b")


def test_a_half_that_another_took_away_is_no_trouble_where_the_part_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, write = open_address(str(tmp_path)), Path.write_bytes

    def swept(path: Path, content: bytes) -> int:
        written = write(path, content)
        if path.name.startswith("."):
            path.unlink()
        return written

    monkeypatch.setattr(Path, "write_bytes", swept)
    with pytest.raises(InputError, match=r"a\.parquet: cannot write: No such file"):
        write_part(parts, "a.parquet", b"PAR1")
    (tmp_path / "a.parquet").write_bytes(b"as another wrote it PAR1")
    write_part(parts, "a.parquet", b"PAR1")


def test_of_parquet_files_anybody_can_tell_damage(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing PAR1")
    (tmp_path / "b.zip").write_bytes(b"anything")
    assert damaged_parts(open_address(str(tmp_path)), None, {"a.parquet": "", "b.zip": ""}) == {"a.parquet"}
