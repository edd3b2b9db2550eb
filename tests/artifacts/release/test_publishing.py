"""Publishing to a folder and to a real S3 server: once, again, with other content, onto a store that spoils files."""

import dataclasses
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from tests.support.plain_releases import plain_release
from tests.support.servers.s3_server import BUCKET, S3Server

from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.base.progress import Silent
from aves_artifacts.files.address import Address, open_address
from aves_artifacts.release.index import CLAIM, INDEX
from aves_artifacts.release.publishing import Published, plan_upload, publish, told
from aves_artifacts.release.staging import Release


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return plain_release(tmp_path / "release")


def published(release: Release, address: Address) -> Published:
    return publish(plan_upload(release, address), Silent())


def contents(address: Address) -> dict[str, bytes]:
    root = address.filesystem._strip_protocol(address.root)
    return {path.removeprefix(f"{root}/"): address.filesystem.cat_file(path) for path in address.filesystem.find(root)}


def expected(release: Release) -> dict[str, bytes]:
    files = (*release.files, release.index, release.claim)
    return {f"{release.version}/{file.name}": file.source.read_bytes() for file in files}


def test_a_release_is_there_whole(release: Release, address: Address) -> None:
    outcome = published(release, address)
    assert outcome.uploaded[0] == CLAIM
    assert outcome.uploaded[-1] == INDEX
    assert len(outcome.uploaded) == 7
    assert contents(address) == expected(release)


def test_a_second_time_nothing_is_uploaded(release: Release, address: Address) -> None:
    published(release, address)
    before = contents(address)
    planned = plan_upload(release, address)
    assert (planned.state, planned.missing) == ("published", ())
    assert publish(planned, Silent()).uploaded == ()
    assert contents(address) == before


@pytest.mark.slow
def test_a_second_time_the_server_gets_no_upload(
    release: Release, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    address = open_address(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    published(release, address)
    assert sum(address.root in line for line in s3.writes()) == 7
    before = s3.writes()
    published(release, open_address(address.url))
    assert s3.writes() == before


def test_other_content_under_a_published_version_is_refused(release: Release, address: Address, tmp_path: Path) -> None:
    published(release, address)
    other = plain_release(tmp_path / "other", seed=1)
    with pytest.raises(InputError, match=r"version 1.0 is published already, with other content; nothing was changed"):
        plan_upload(other, address)
    assert contents(address) == expected(release)
    newer = plain_release(tmp_path / "newer", seed=1, version="1.1")
    published(newer, address)
    assert contents(address) == expected(release) | expected(newer)


def test_a_version_that_another_release_claimed_is_refused(release: Release, address: Address, tmp_path: Path) -> None:
    planned = plan_upload(release, address)  # before the other one came
    other = plain_release(tmp_path / "other", seed=1)
    address.below("1.0").create(CLAIM, other.claim.source)
    for attempt in (lambda: plan_upload(release, address), lambda: publish(planned, Silent())):
        with pytest.raises(InputError, match="claimed by a release with other content that is not published yet"):
            attempt()
    assert contents(address) == {f"1.0/{CLAIM}": other.claim.source.read_bytes()}
    published(other, address)
    assert contents(address) == expected(other)


def test_what_was_begun_is_completed(release: Release, address: Address) -> None:
    place = address.below("1.0")
    place.create(CLAIM, release.claim.source)
    for file in release.files[:2]:
        place.create(file.name, file.source)
    planned = plan_upload(release, address)
    assert (planned.state, len(planned.missing), len(planned.present)) == ("unfinished", 3, 2)
    assert len(publish(planned, Silent()).uploaded) == 4
    assert contents(address) == expected(release)


def test_a_file_that_somebody_put_there_is_not_replaced(release: Release, address: Address, tmp_path: Path) -> None:
    for length in (3, release.files[2].size):  # another size, and another content
        strange = tmp_path / "strange"
        strange.write_bytes(b"x" * length)
        place = address.below(f"v{length}")
        place.create(release.files[2].name, strange)
        versioned = dataclasses.replace(release, version=f"v{length}")
        with pytest.raises(InputError, match=f"{release.files[2].name}: there is another file of that name"):
            published(versioned, address)
        assert place.size(INDEX) is None
        assert place.read(release.files[2].name) == b"x" * length


def test_what_was_lost_since_is_brought_back(release: Release, address: Address) -> None:
    published(release, address)
    address.filesystem.rm_file(address.below("1.0")._path(release.files[0].name))
    assert published(release, address).uploaded == (release.files[0].name,)
    assert contents(address) == expected(release)


def test_what_changed_at_the_address_is_told(release: Release, address: Address) -> None:
    published(release, address)
    file = release.files[0]
    address.filesystem.pipe_file(address.below("1.0")._path(file.name), b"x" * file.size)
    with pytest.raises(InputError, match="there is another file of that name"):
        published(release, address)


def test_a_plan_writes_nothing(release: Release, address: Address) -> None:
    lines = list(told(plan_upload(release, address)))
    assert contents(address) == {}
    assert sum(line.startswith("upload") for line in lines) == 5
    assert "new; 5 files (5 kB) to upload; nothing was written" in lines[5]
    assert (len(lines) == 7) == (not address.is_exclusive)


def test_the_outcome_counts_what_was_sent(release: Release, tmp_path: Path) -> None:
    address = open_address(str(tmp_path / "place"))
    address.below("1.0").create(release.files[0].name, release.files[0].source)
    assert list(told(published(release, address))) == [
        "uploaded 4 files (4 kB); 1 files (1 kB) were there already",
        f"{tmp_path}/place/1.0: version 1.0 is published, and reads back as it is here",
    ]


class _Spoiling(MemoryFileSystem):
    protocol = "spoiling"
    store: dict[str, object] = {}  # noqa: RUF012 - as the class above has it
    pseudo_dirs: list[str] = [""]  # noqa: RUF012

    def put_file(self, lpath: str, rpath: str, **_: object) -> None:
        content = Path(lpath).read_bytes()
        spoilt = "2.bin" in rpath
        self.pipe_file(rpath, content[:-1] + bytes([content[-1] ^ 1]) if spoilt else content)


@pytest.fixture
def spoiling() -> Iterator[Address]:
    fsspec.register_implementation("spoiling", _Spoiling, clobber=True)
    yield open_address(f"spoiling://{uuid.uuid4().hex}")
    _Spoiling.store.clear()


def test_what_reads_back_differently_is_not_published(release: Release, spoiling: Address) -> None:
    with pytest.raises(DoesNotHoldError, match=r"owls/2.bin: what is read back is not what was written"):
        published(release, spoiling)
    assert spoiling.below("1.0").size(INDEX) is None


class _Halving(MemoryFileSystem):
    """Keeps half of one file: at once, or only when the index has come and everything was read back."""

    protocol = "halving"
    store: dict[str, object] = {}  # noqa: RUF012 - as the class above has it
    pseudo_dirs: list[str] = [""]  # noqa: RUF012
    halved = ""
    late = False

    def put_file(self, lpath: str, rpath: str, **_: object) -> None:
        content = Path(lpath).read_bytes()
        half = self.halved in rpath and not self.late
        self.pipe_file(rpath, content[: len(content) // 2] if half else content)

    def mv(self, path1: str, path2: str, **settings: object) -> None:
        super().mv(path1, path2, **settings)
        if self.late and path2.endswith(INDEX):
            for path in [path for path in self.store if self.halved in path]:
                self.pipe_file(path, b"half")


@pytest.mark.parametrize("late", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("halved", ["2.bin", CLAIM])
def test_a_store_that_keeps_half_is_found_out(
    halved: str, late: bool, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.register_implementation("halving", _Halving, clobber=True)
    monkeypatch.setattr(_Halving, "halved", halved)
    monkeypatch.setattr(_Halving, "late", late)
    monkeypatch.setattr(_Halving, "store", {})
    with pytest.raises((DoesNotHoldError, InputError), match=f"{halved}|is claimed by a release with other content"):
        published(release, open_address(f"halving://{uuid.uuid4().hex}"))


@pytest.mark.slow
@pytest.mark.parametrize("halved", ["files", "all"])
def test_a_server_that_keeps_half_is_found_out(
    halved: str, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    release = plain_release(tmp_path / "release")
    if halved == "files":
        listed = tuple(dataclasses.replace(file, name=f"halved/{file.source.name}") for file in release.files)
        release = dataclasses.replace(release, files=listed)
    folder = "halved" if halved == "all" else "whole"
    address = open_address(f"s3://{BUCKET}/{folder}/{uuid.uuid4().hex}")
    # The checksum that was sent with the object does not fit what comes back, which the client sees first.
    with pytest.raises((DoesNotHoldError, InputError), match=r"checksum|not what was written|claimed"):
        published(release, address)
    assert address.below("1.0").size(INDEX) is None


def test_an_index_of_which_half_is_kept_is_found_out(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("halving", _Halving, clobber=True)
    monkeypatch.setattr(_Halving, "halved", INDEX)
    with pytest.raises(DoesNotHoldError, match=r"index.json: what is read back is not what was written"):
        published(release, open_address(f"halving://{uuid.uuid4().hex}"))


def test_a_claim_that_was_lost_is_brought_back(release: Release, address: Address) -> None:
    published(release, address)
    address.filesystem.rm_file(address.below("1.0")._path(CLAIM))
    assert published(release, address).uploaded == (CLAIM,)
    assert contents(address) == expected(release)


def test_what_killed_publishers_left_is_gone_in_the_end(release: Release, tmp_path: Path) -> None:
    half = tmp_path / "place" / "1.0" / "owls" / ".0.bin.abc.partial"
    half.parent.mkdir(parents=True)
    half.write_bytes(os.urandom(10))
    published(release, open_address(str(tmp_path / "place")))
    assert contents(open_address(str(tmp_path / "place"))) == expected(release)


class _OneConnection(MemoryFileSystem):
    """As FTP: whoever comes while another thread is served breaks the connection."""

    protocol = "oneconnection"
    store: dict[str, object] = {}  # noqa: RUF012 - as the class above has it
    pseudo_dirs: list[str] = [""]  # noqa: RUF012
    busy = threading.Lock()

    def info(self, path: str, **_: object) -> object:
        return self.alone(super().info, path)

    def put_file(self, lpath: str, rpath: str, **_: object) -> None:
        self.alone(self.pipe_file, rpath, Path(lpath).read_bytes())

    def alone(self, work: Callable[..., object], *arguments: object) -> object:
        if not self.busy.acquire(blocking=False):
            raise ConnectionError("two at once")
        try:
            time.sleep(0.01)
            return work(*arguments)
        finally:
            self.busy.release()


def test_a_store_with_one_connection_is_asked_by_one_thread_at_a_time(release: Release) -> None:
    fsspec.register_implementation("oneconnection", _OneConnection, clobber=True)
    address = open_address(f"oneconnection://{uuid.uuid4().hex}")
    published(release, address)
    assert contents(address) == expected(release)
