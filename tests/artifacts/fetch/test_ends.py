"""Fetching comes to an end: whatever is slow, without end, or in the way is told in one line, and what came is kept."""

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.servers import misbehaving_server as bad
from tests.support.servers.misbehaving_server import Misbehaviour, Server
from tests.support.servers.published_files import original

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.progress import Silent
from aves_artifacts.cli import main
from aves_artifacts.configurations.store import part_of
from aves_artifacts.fetch.download import Network
from aves_artifacts.fetch.fetcher import Fetcher
from aves_artifacts.fetch.lock_file import default_lock_file

QUICK = Network(timeout=0.5, attempts=4, pause=0.01)


def fetch(*roles: str) -> None:
    Fetcher(default_lock_file(), Silent(), QUICK).fetch(["owls"], roles or ("original",))  # type: ignore[arg-type]


def refused() -> str:
    """The one line of an error, which comes within a few seconds."""
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        fetch()
    assert time.monotonic() - began < 5
    (told,) = caught.value.problems
    assert told.isprintable()
    return told


SLOW = [bad.trickle, bad.trickle_head, bad.trickle_chunks, bad.early_hints]


@pytest.mark.slow
@pytest.mark.parametrize("always", SLOW, ids=lambda always: always.__name__)
def test_a_server_that_is_never_silent_and_sends_nearly_nothing(always: Misbehaviour, server: Server) -> None:
    server.always["/owls.pt"] = always
    told = refused()
    assert "the server sends less than 500 B of the file in 0.75 seconds (2 attempts); fetch again" in told
    assert len(server.gets) == 2


@pytest.mark.slow
def test_what_a_slow_server_sent_is_kept(server: Server) -> None:
    server.script["/owls.pt"] = deque([bad.cut_after(100_000)])
    server.always["/owls.pt"] = bad.trickle
    assert "fetch again to go on there" in refused()
    kept = part_of(original()).stat().st_size
    assert kept > 100_000
    del server.always["/owls.pt"]
    fetch()
    assert server.gets[-1] == ("/owls.pt", f"bytes={kept}-")
    assert original().read_bytes() == server.files["/owls.pt"]


def test_a_slow_head_keeps_nobody_from_fetching(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is first asked for sizes."""
    monkeypatch.setattr(bad.Handler, "do_HEAD", bad.trickle_head)
    fetch()
    assert original().read_bytes() == server.files["/owls.pt"]


def test_a_server_that_is_slow_once_is_asked_again(server: Server) -> None:
    server.script["/owls.pt"] = deque([bad.early_hints])
    fetch()
    assert len(server.gets) == 2


def test_a_server_that_sends_one_byte_more_each_time(server: Server) -> None:
    server.always["/owls.pt"] = bad.one_more
    assert "(4 attempts); fetch again to go on there" in refused()
    assert part_of(original()).stat().st_size == 4


def test_attempts_have_an_end_though_each_brings_something(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aves_artifacts.fetch.download._MOST_ATTEMPTS", 6)
    server.always["/owls.pt"] = bad.cut_after(20_000)
    assert "(6 attempts)" in refused()


def test_the_body_of_a_redirect_is_not_read(server: Server) -> None:
    server.always["/owls.pt"] = bad.redirect_without_end
    assert "more than 20 redirects" in refused()
    assert not server.endless


@pytest.mark.parametrize("etag", [b'"\xc3\xa4"', b'"\xff"', b'"' + b"x" * 5000 + b'"'], ids=["UTF-8", "latin", "long"])
def test_an_etag_that_cannot_be_sent_back_spoils_no_later_fetch(etag: bytes, server: Server) -> None:
    server.script["/owls.pt"] = deque([bad.tag(etag), *[bad.say(500)] * 3])
    assert "answers 500" in refused()
    fetch()
    assert original().read_bytes() == server.files["/owls.pt"]


def test_an_etag_that_was_noted_before_spoils_nothing(server: Server) -> None:
    """In a note that an older version of this tool wrote."""
    server.script["/owls.pt"] = deque([bad.cut_after(1000), *[bad.say(500)] * 3])
    refused()
    note = part_of(original()).with_name(part_of(original()).name + ".json")
    text = note.read_text(encoding="utf-8")
    note.write_text(text.replace('"etag": "\\"', '"etag": "\\"\\u00e4'), encoding="utf-8")
    assert note.read_text(encoding="utf-8") != text
    fetch()
    assert server.gets[-1] == ("/owls.pt", "")


def test_an_md5_that_is_none_is_no_md5(server: Server) -> None:
    wrong = "md5=AAAAAAAAAAAAAAAAAAAAA_=="
    server.always["/owls.pt"] = lambda handler: handler.answer(200, handler.content, x_goog_hash=wrong)
    fetch()
    assert original().is_file()


IN_THE_WAY: dict[str, Callable[[Path], None]] = {
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/full"),
    "a folder": Path.mkdir,
}


@pytest.mark.parametrize("make", IN_THE_WAY.values(), ids=IN_THE_WAY)
def test_a_half_fetched_file_that_is_none(make: Callable[[Path], None], server: Server) -> None:
    part_of(original()).parent.mkdir(parents=True)
    make(part_of(original()))
    told = refused()
    assert str(part_of(original())) in told
    assert told.endswith("remove it")
    assert server.gets == []


def test_a_note_that_is_a_pipe_is_not_waited_for(server: Server) -> None:
    part = part_of(original())
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    os.mkfifo(part.with_name(part.name + ".json"))
    fetch()
    assert server.gets == [("/owls.pt", "")]


def test_a_lock_file_that_is_a_pipe_or_a_device(server: Server, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        ended = CliRunner().invoke(main, ["fetch", "owls", "--lock", str(path)])
        assert ended.exit_code == 2
        assert f"{path}: cannot read the lock file: it is a pipe or a device" in ended.stderr
    assert server.gets == []


def test_a_lock_file_of_absurd_numbers_is_one_line(server: Server, tmp_path: Path) -> None:
    entry = '{"address": "", "size": 1' + "0" * 4000 + ', "etag": "", "sha256": ""}'
    (tmp_path / "lock").write_text('{"schema": 1, "files": {"owls-base.pt": ' + entry + "}}")
    ended = CliRunner().invoke(main, ["fetch", "owls", "--lock", str(tmp_path / "lock")])
    assert (ended.exit_code, len(ended.stderr.splitlines())) == (2, 1)
    assert "too large a number" in ended.stderr
    assert server.gets == []
