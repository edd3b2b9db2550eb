"""Addresses of every kind: a folder, a real S3 server, and a store that cannot refuse a name that is taken."""

import errno
import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from tests.support.servers.s3_server import BUCKET, S3Server

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.address import Address, open_address
from aves_artifacts.files.file_record import file_record


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(os.urandom(3_000_000))
    return path


def test_what_is_created_reads_back(address: Address, source: Path) -> None:
    assert address.size("a/b") is None
    assert address.record("a/b") is None
    assert address.read("a/b") is None
    moved: list[int] = []
    assert address.create("a/b", source, moved.append)
    assert moved[-1] == 3_000_000
    assert address.size("a/b") == 3_000_000
    found = address.record("a/b")
    assert found is not None
    assert (found.name, found.sha256) == ("a/b", file_record(source).sha256)
    assert address.below("a").read("b") == source.read_bytes()


def test_what_is_there_is_left_alone(address: Address, source: Path, tmp_path: Path) -> None:
    assert address.create("a", source)
    other = tmp_path / "other"
    other.write_bytes(b"other")
    assert not address.create("a", other)
    assert address.size("a") == 3_000_000


def test_what_is_replaced_is_there_whole(address: Address, tmp_path: Path) -> None:
    address.replace("a/b", b"first")
    address.replace("a/b", b"second")
    assert address.read("a/b") == b"second"
    assert address.names() == ["a/b"]
    assert address.tail("a/b", 3) == b"ond"
    assert address.tail("a/b", 30) == b"second"
    assert address.tail("b", 3) == b""
    assert address.copy("a/b", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"second"
    assert not address.copy("b", tmp_path / "copy")


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = open_address(str(tmp_path))
    address.replace("a", b"first")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left"):
        address.replace("a", b"second")
    assert address.read("a") == b"first"
    assert address.names() == ["a"]


@pytest.mark.parametrize("address", ["folder", pytest.param("s3", marks=pytest.mark.slow)], indirect=True)
def test_of_many_at_once_one_creates_the_file(address: Address, tmp_path: Path) -> None:
    assert address.is_exclusive
    sources = [tmp_path / f"source{i}" for i in range(8)]
    for source in sources:
        source.write_bytes(os.urandom(10_000))
    created: list[Path] = []
    start = threading.Barrier(len(sources))

    def create(source: Path) -> None:
        start.wait()
        if open_address(address.url).create("a", source):
            created.append(source)

    threads = [threading.Thread(target=create, args=[source]) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = created
    assert address.read("a") == winner.read_bytes()


@pytest.mark.slow
def test_a_large_file_goes_in_parts_and_replaces_nothing(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    address = open_address(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    source = tmp_path / "large"
    with source.open("wb") as stream:
        stream.truncate(101 << 20)
    assert address.create("large", source)
    assert sum(f"PUT /{address.root}/large" in line for line in s3.writes()) == 3
    found = address.record("large")
    assert found is not None
    assert found.sha256 == file_record(source).sha256
    source.write_bytes(source.read_bytes()[:-1] + b"x")
    assert not address.create("large", source)
    with pytest.raises(FileExistsError):  # and this is the server's word, not a look beforehand
        address.filesystem.put_file(str(source), f"{address.root}/large", mode="create")


def test_only_what_nobody_finished_is_swept_away(address: Address, source: Path) -> None:
    address.create("a/b", source)
    if address.filesystem.protocol != ("s3", "s3a"):
        address.filesystem.pipe_file(f"{address.root}/a/.b.1234.partial", b"half")
    address.sweep()
    assert [path.rsplit("/", 1)[1] for path in address.filesystem.find(address.root)] == ["b"]


def test_halves_are_removed_of_the_files_that_are_meant(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in (".a.1234.partial", ".b.1234.partial", "below/.c.d.1234.partial", ".e", "f.partial"):
        (tmp_path / name).touch()
    asked: list[str] = []
    open_address(str(tmp_path)).sweep(lambda name: asked.append(name) or name != "b")  # type: ignore[func-returns-value]
    assert sorted(asked) == ["a", "b", "below/c.d"]
    assert sorted(open_address(str(tmp_path)).listed()) == [".b.1234.partial", ".e", "f.partial"]


def test_a_pipe_has_no_end_that_could_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    with pytest.raises(InputError, match="cannot read: it is a pipe or a device"):
        open_address(str(tmp_path)).tail("a", 4)


def test_what_cannot_be_listed_is_told_and_what_is_not_there_is_empty(tmp_path: Path) -> None:
    assert open_address(str(tmp_path / "nothing")).listed() == []
    with pytest.raises(InputError, match="http://x: cannot be listed; give a folder"):
        open_address("http://x").listed()


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path, source: Path) -> None:
    address = open_address(str(tmp_path / "place"))
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot write here: .*; choose another folder"):
        address.create("file/below", source)


class _NoRename(MemoryFileSystem):
    protocol = "norename"
    store: dict[str, object] = {}  # noqa: RUF012 - as the class above has it
    pseudo_dirs: list[str] = [""]  # noqa: RUF012

    def mv(self, *_: object, **__: object) -> None:
        raise RuntimeError("no renaming here")


@pytest.fixture
def no_rename() -> Iterator[str]:
    fsspec.register_implementation("norename", _NoRename, clobber=True)
    yield "norename://x"
    _NoRename.store.clear()


def test_whatever_a_store_raises_is_told_in_one_line(no_rename: str, source: Path) -> None:
    address = open_address(no_rename)
    with pytest.raises(InputError, match="norename://x/a: cannot write: no renaming here"):
        address.create("a", source)
    assert address.size("a") is None
    address.sweep()
    assert address.filesystem.find(address.root) == []


class _Plain(LocalFileSystem):
    """As SFTP and FTP: folders are made by hand, and a name that is taken is replaced."""

    protocol = "plain"


def test_a_store_that_makes_no_folders_by_itself(tmp_path: Path, source: Path) -> None:
    fsspec.register_implementation("plain", _Plain, clobber=True)
    address = open_address(f"plain://{tmp_path}/place")
    assert not address.is_exclusive
    assert address.create("a/b", source)
    assert not address.create("a/b", source)
    assert [path.name for path in (tmp_path / "place" / "a").iterdir()] == ["b"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nothing://x", "cannot open this address: Protocol not known: nothing"),
        ("gs://bucket/x", r"gs://bucket/x needs gcsfs, not installed here; pip install 'aves-ports\[gcs\]'"),
        ("sftp://host/x", "sftp://host/x: a package is missing that reaches this address: .*paramiko"),
    ],
)
def test_an_address_that_cannot_be_opened_says_what_it_needs(
    url: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("gcsfs", "paramiko"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(InputError, match=message):
        open_address(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "an empty address: expected a folder"),
        (" ", "expected a folder"),
        ("file://place/x", "file://place/x: expected file:///folder"),
        ("file:place", "expected file:///folder"),
        ("file://", "expected file:///folder"),
        ("s3:/bucket/x", r"s3:/bucket/x: expected s3://, or \./s3:/bucket/x for a folder of that name"),
        ("simplecache::file:///x", "simplecache::file:///x: a cache gives back what it has kept itself"),
        ("s3://me:secret@[bucket", r"^\[bucket: not an address: Invalid IPv6 URL"),
    ],
)
def test_an_address_that_would_be_a_folder_here_by_a_slip_is_refused(url: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_address(url)


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}", "local://{}"])
def test_a_folder_can_be_written_in_several_ways(form: str, tmp_path: Path, source: Path) -> None:
    assert open_address(form.format(tmp_path / "s3:x")).create("a", source)
    assert (tmp_path / "s3:x" / "a").read_bytes() == source.read_bytes()


def test_a_password_is_not_printed(tmp_path: Path) -> None:
    assert open_address("memory://me:secret@host/x").url == "memory://host/x"
    assert open_address(f"{tmp_path}/a?b#c").url == f"{tmp_path}/a?b#c"
    with pytest.raises(InputError) as caught:
        open_address("nothing://me:secret@host/x")
    assert "secret" not in str(caught.value)


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_told(s3: S3Server, monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    address = open_address("s3://no-such-bucket/x")
    with pytest.raises(InputError, match="cannot write: The specified bucket does not exist"):
        address.create("a", source)


@pytest.mark.slow
def test_a_server_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, s3: S3Server) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"s3://bucket/x/a: cannot read: .*127\.0\.0\.1:9"):
        open_address("s3://bucket/x").size("a")


def test_of_a_file_that_is_too_large_no_more_is_read_than_tells_that(address: Address, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(5 << 20))
    address.create("large", tmp_path / "large")
    held: list[int] = []
    found = address.record("large", held.append, most=10)
    assert found is not None
    assert (10 < found.size <= 1 << 20, held) == (True, [found.size])


def test_names_are_listed_where_a_store_has_lists(address: Address, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for name in ("owls/one.bin", "two.bin"):
        address.create(name, tmp_path / "file")
    assert sorted(address.names() or ()) == ["owls/one.bin", "two.bin"]
    assert open_address("https://example.org/1").names() is None


def test_a_store_that_does_not_answer_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aves_artifacts.files.address._PATIENCE", 0.1)
    address = open_address("memory://nowhere")
    monkeypatch.setattr(address.filesystem, "info", lambda _: time.sleep(5))
    with pytest.raises(InputError, match=r"cannot read: no answer, or less than 1\.05 MB, in 0\.1 seconds"):
        address.size("x")


def test_a_document_has_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aves_artifacts.files.address._MAX_DOCUMENT", 1 << 20)
    (tmp_path / "index.json").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(InputError, match="larger than 1,048,576 bytes"):
        open_address(str(tmp_path)).read("index.json")
