"""Fetching from a server that misbehaves: all of a file, checked, or a clear error and nothing to take for it."""

import base64
import hashlib
import json
import random
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.documents import BASE
from tests.support.servers import misbehaving_server as bad
from tests.support.servers.misbehaving_server import Misbehaviour, Server, serving
from tests.support.servers.published_files import is_innocent, onnx_file, original, publish, torch_file

from aves_artifacts.base.errors import InputError
from aves_artifacts.cli import main
from aves_artifacts.configurations.store import part_of, store
from aves_artifacts.fetch.download import Network
from aves_artifacts.fetch.fetcher import Fetched, Fetcher, wanted_files
from aves_artifacts.fetch.lock_file import LockFile, default_lock_file

QUICK = Network(timeout=0.5, attempts=4, pause=0.01)


class Quiet:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.sizes: dict[Path, int | None] = {}
        self.sizes_held: dict[Path, int] = {}

    def announce(self, sizes: Mapping[Path, int | None]) -> None:
        assert not self.sizes_held, "the size is told before the start"
        self.sizes.update(sizes)

    def held(self, path: Path, size: int) -> None:
        self.sizes_held[path] = size


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of one configuration. After each test, all that could be taken for a file of it must be that file."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with serving() as running:
        monkeypatch.setenv("AVES_CATALOG", str(publish(running, tmp_path)))
        monkeypatch.setenv("AVES_HOME", str(tmp_path / "store"))
        published = list(running.files.values())
        yield running
        published += running.files.values()
        for path in (tmp_path / "store").rglob("*"):
            assert path.is_dir() or is_innocent(path) or path.read_bytes() in published, path


def fetch(*roles: str, lock: LockFile | None = None, watcher: Quiet | None = None) -> list[Fetched]:
    fetcher = Fetcher(lock or default_lock_file(), watcher or Quiet(), QUICK)
    return fetcher.fetch(["owls"], roles)


@pytest.mark.usefixtures("server")
def test_a_fetcher_as_it_is_made_serves_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = fetch("config")
    monkeypatch.setenv("AVES_OFFLINE", "1")
    (again,) = Fetcher().fetch(["owls"], ["config"])
    assert (again.path, again.was_here) == (first.path, True)
    with pytest.raises(InputError, match="not here, and fetching is turned off"):
        Fetcher().fetch(["owls"], ["onnx"])


def refused(*roles: str, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        fetch(*roles)
    assert str(caught.value) == "\n".join(caught.value.problems)


def test_all_files_come_and_are_recorded(server: Server) -> None:
    watcher = Quiet()
    fetched = fetch(watcher=watcher)
    assert [file.path.read_bytes() for file in fetched] == list(server.files.values())
    assert watcher.sizes == watcher.sizes_held == {file.path: file.size for file in fetched}
    entries = default_lock_file().entries()
    assert set(entries) == {file.path.name for file in fetched}
    assert all(entry.etag and entry.address.startswith(server.address) for entry in entries.values())
    assert not any(path.name.endswith((".part", ".json.part", ".part.json")) for path in store().rglob("*"))
    assert [file.was_here for file in fetch()] == [True] * 4
    assert len(server.gets) == 4


RECOVERED: dict[str, list[Misbehaviour]] = {
    "cut once": [bad.cut_after(1000)],
    "cut at once": [bad.cut_after(0), bad.cut_after(0), bad.cut_after(0)],
    "cut many times": [bad.cut_after(20_000)] * 12,
    "500 twice": [bad.say(500), bad.say(500)],
    "500 in the middle": [bad.cut_after(1000), bad.say(503), bad.say(500)],
    "busy": [bad.say(429), bad.say(408)],
    "range ignored": [bad.cut_after(100_000), bad.ignore_range],
    "another part": [bad.cut_after(1000), bad.other_part],
    "416": [bad.cut_after(1000), bad.say(416)],
    "silence": [bad.stall],
    "silence after a cut": [bad.cut_after(1000), bad.stall],
    "longer by its head": [bad.claim(400_000)],
    "a part that ends early": [bad.cut_after(1000), bad.claim(50_000)],
    "206 unasked": [bad.say(206, b"PK", Content_Range="bytes 0-1/2")],
}


@pytest.mark.parametrize("script", RECOVERED.values(), ids=RECOVERED)
def test_what_another_attempt_overcomes(script: list[Misbehaviour], server: Server) -> None:
    server.script["/owls.pt"] = deque(script)
    (fetched,) = fetch("original")
    assert fetched.path.read_bytes() == server.files["/owls.pt"]


def test_a_cut_download_goes_on_where_it_ended(server: Server) -> None:
    server.script["/owls.pt"] = deque([bad.cut_after(1000), bad.cut_after(500)])
    fetch("original")
    assert [wanted for _, wanted in server.gets] == ["", "bytes=1000-", "bytes=1500-"]


REFUSED: dict[str, tuple[Misbehaviour, str]] = {
    "404": (bad.say(404), "answers 404"),
    "403": (bad.say(403), "answers 403"),
    "204": (bad.say(204, b""), "answers 204"),
    "500": (bad.say(500), r"answers 500 .*\(4 attempts\)"),
    "HTML": (bad.say(200, b"<!DOCTYPE html><html>Log in</html>"), "HTML"),
    "nothing": (bad.say(200, b""), "it is empty"),
    "another file": (bad.say(200, onnx_file(1)), "no file of torch.save"),
    "a damaged file": (bad.say(200, torch_file(1)[:5000] + b"?" + torch_file(1)[5001:]), "fails its CRC-32"),
    "redirects without end": (bad.say(302, b"", Location="/owls.pt"), "redirect"),
    "a redirect into nothing": (bad.say(302, b"", Location="/nowhere"), "answers 404"),
    "a redirect to another protocol": (bad.say(302, b"", Location="ftp://127.0.0.1/x"), "cannot be fetched"),
    "always cut": (bad.ignore_range_and_cut, "1000 bytes of|closed"),
    "longer by its head": (bad.claim(400_000), "attempts"),
    "shorter by its head": (bad.claim(100_000), "truncated zip"),
    "no length, and truncated": (bad.without_length(100_000), "truncated zip"),
    "silence": (bad.stall, "timed out"),
    "compressed": (bad.say(200, b"x", Content_Encoding="gzip"), "compressed"),
    "another MD5": (lambda handler: handler.answer(200, handler.content, x_goog_hash=WRONG_MD5), "its MD5 is not"),
}
WRONG_MD5 = "crc32c=n03x6A==,md5=1B2M2Y8AsgTpgAmY7PhCfg=="


@pytest.mark.slow
@pytest.mark.parametrize(("always", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_overcome_is_told(always: Misbehaviour, message: str, server: Server) -> None:
    server.always["/owls.pt"] = always
    refused("original", match=message)
    assert not original().exists()
    assert default_lock_file().entries() == {}
    del server.always["/owls.pt"]
    fetch("original")  # nothing is left that would spoil a later run


def test_the_right_md5_is_accepted(server: Server) -> None:
    right = base64.b64encode(hashlib.md5(server.files["/owls.pt"]).digest()).decode()  # noqa: S324
    server.always["/owls.pt"] = lambda handler: handler.answer(200, handler.content, x_goog_hash=f"md5={right}")
    fetch("original")
    assert original().is_file()


def test_a_file_without_a_length_is_accepted_when_whole(server: Server) -> None:
    server.always["/owls.pt"] = bad.without_length(10**9)
    fetch("original")


def test_of_a_body_without_end_no_more_is_taken_than_the_lock_file_has(server: Server) -> None:
    fetch("original")
    original().unlink()
    server.always["/owls.pt"] = bad.endless
    watcher = Quiet()
    with pytest.raises(InputError, match=r"300238 bytes .* were expected"):
        fetch("original", watcher=watcher)
    assert watcher.sizes_held[original()] < 2_000_000
    assert not server.endless
    assert not part_of(original()).exists()


def test_a_redirect_is_followed(server: Server) -> None:
    server.files["/moved.pt"] = server.files["/owls.pt"]
    server.always["/owls.pt"] = bad.say(302, b"", Location="/moved.pt")
    server.script["/moved.pt"] = deque([bad.cut_after(1000)])
    fetch("original")
    assert server.gets[-1] == ("/moved.pt", "bytes=1000-")


@pytest.mark.parametrize("then", [bad.well, bad.ignore_if_range], ids=["If-Range", "If-Range ignored"])
def test_a_file_that_changes_in_the_middle_is_not_mixed(then: Misbehaviour, server: Server) -> None:
    new = torch_file(9)
    server.script["/owls.pt"] = deque([bad.change_then_cut(new, 100_000), then])
    (fetched,) = fetch("original")
    assert fetched.path.read_bytes() == new
    if then is bad.well:
        assert len(server.gets) == 2  # told by If-Range, so nothing is asked twice


def test_a_part_without_a_strong_etag_is_not_continued(server: Server) -> None:
    for etag in ('W/"1"', ""):
        part_of(original()).unlink(missing_ok=True)
        original().unlink(missing_ok=True)
        server.gets.clear()
        server.script["/owls.pt"] = deque([lambda handler, etag=etag: cut_with_etag(handler, etag)])  # type: ignore[misc]
        fetch("original")
        assert [wanted for _, wanted in server.gets] == ["", ""]


def test_a_part_of_another_address_is_not_continued(server: Server, tmp_path: Path) -> None:
    server.script["/owls.pt"] = deque([lambda handler: cut_with_etag(handler, '"1"'), *[bad.say(500)] * 4])
    refused("original", match="answers 500")
    path = tmp_path / "catalog.toml"
    path.write_text(path.read_text().replace('"owls.pt"', '"mirrored.pt"'))
    server.files["/mirrored.pt"] = server.files["/owls.pt"]
    fetch("original")
    assert server.gets[-1] == ("/mirrored.pt", "")


def cut_with_etag(handler: bad.Handler, etag: str) -> None:
    handler.answer(200, handler.content[:1000], length=len(handler.content), ETag=etag)
    handler.close_connection = True


def test_a_later_run_goes_on(server: Server) -> None:
    server.script["/owls.pt"] = deque([bad.cut_after(1000), *[bad.say(500)] * 4])
    refused("original", match="answers 500")
    assert part_of(original()).stat().st_size == 1000
    fetch("original")
    assert server.gets[-1] == ("/owls.pt", "bytes=1000-")


def test_a_whole_part_is_checked_and_taken_without_a_request(server: Server) -> None:
    """As after a kill between the last byte and the renaming."""
    server.script["/owls.pt"] = deque([bad.cut_after(1000), *[bad.say(500)] * 4])
    refused("original", match="answers 500")
    part_of(original()).write_bytes(server.files["/owls.pt"])
    server.gets.clear()
    fetch("original")
    assert server.gets == []


WRONG_NOTE = b'{"address": "", "size": "1", "etag": 1, "md5": ""}'


@pytest.mark.parametrize("note", [b"", b"[]", b"{}", b"\xff", b'{"address": 1}', WRONG_NOTE])
def test_a_damaged_note_means_to_begin_anew(note: bytes, server: Server) -> None:
    part = part_of(original())
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    part.with_name(part.name + ".json").write_bytes(note)
    fetch("original")
    assert server.gets == [("/owls.pt", "")]


def test_one_that_fails_does_not_stop_the_others(server: Server) -> None:
    server.always["/owls.json"] = bad.say(404)
    server.always["/owls.onnx"] = bad.say(200, b"<html>")
    refused(match="owls.json: the server answers 404.*\\n.*owls.onnx: not the file")
    assert original().is_file()


@pytest.mark.slow
def test_a_random_hundred_of_misbehaviours(server: Server) -> None:
    """Whatever comes in whatever order: the files whole and verified, or an error."""
    chance = random.Random(7)  # noqa: S311
    kinds: list[Misbehaviour] = [
        bad.cut_after(0), bad.cut_after(5), bad.cut_after(90_000), bad.ignore_range, bad.ignore_range_and_cut,
        bad.claim(400_000), bad.claim(50_000), bad.say(200), bad.say(404), bad.say(416), bad.say(500), bad.other_part,
        bad.change_then_cut(torch_file(1), 70_000), bad.change_then_cut(torch_file(5), 70_000), bad.well,
    ]  # fmt: skip
    ended = {"whole": 0, "error": 0}
    for _ in range(100):
        original().unlink(missing_ok=True)
        default_lock_file().path.unlink(missing_ok=True)
        server.script["/owls.pt"] = deque(chance.choices(kinds, k=chance.randrange(6)))
        try:
            (fetched,) = fetch("original")
            assert fetched.path.read_bytes() in (torch_file(1), torch_file(5))
            ended["whole"] += 1
        except InputError:
            assert not original().exists()
            ended["error"] += 1
    assert min(ended.values()) > 20, ended


def test_later_fetches_must_bring_the_same_bytes(server: Server, tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "repository" / "own.lock.json")
    fetch(lock=lock)
    recorded = lock.path.read_text()
    assert [path.name for path in lock.path.parent.iterdir()] == ["own.lock.json"]  # nothing else to commit
    original().unlink()
    server.files["/owls.pt"] = torch_file(8)  # of the same size
    with pytest.raises(InputError, match=r"owls-base.pt is not what .*own.lock.json records"):
        fetch("original", lock=lock)
    server.files["/owls.pt"] = torch_file(8, 250_000)
    server.gets.clear()
    with pytest.raises(InputError, match="the lock file records"):
        fetch("original", lock=lock)
    assert lock.path.read_text() == recorded
    assert not original().exists()


def test_a_file_that_changed_on_disk_is_told_and_left_alone(server: Server) -> None:
    fetch("original")
    server.files["/owls.pt"] = torch_file(8)
    original().write_bytes(torch_file(8))
    refused("original", match="not what .* records")
    original().write_bytes(torch_file(8)[:-5])
    refused("original", match="truncated zip archive.*remove it and fetch again")
    assert original().is_file()
    original().write_bytes(torch_file(8))


def test_the_weights_of_another_configuration_are_recognised(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(
        path.read_text() + '[crows]\nfile_name = "crows"\ndimension = 768\n[crows.files]\noriginal="x.pt"\n'
    )
    server.files["/x.pt"] = server.files["/owls.pt"]
    fetch("original")
    fetcher = Fetcher(default_lock_file(), Quiet(), QUICK)
    with pytest.raises(InputError, match=r"same bytes as owls-base\.pt"):
        fetcher.fetch(["crows"])


WRONG_ENTRY = {"address": "", "etag": "", "sha256": "", "size": "1"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"schema": 2, "files": {}}',
        b'{"schema": 1, "files": {"x": {"size": 1}}}',
        json.dumps({"schema": 1, "files": {"x": WRONG_ENTRY}}).encode(),
    ],
)
def test_an_unusable_lock_file_is_refused(content: bytes, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "own.lock.json"
    path.write_bytes(content)
    result = CliRunner().invoke(main, ["fetch", "owls", "--lock", str(path)])
    assert result.exit_code == 2
    assert str(path) in result.output
    assert path.read_bytes() == content
    assert server.gets == []


def test_without_room_nothing_is_begun(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bad.Handler, "do_HEAD", lambda handler: handler.answer(200, b"", length=10**17))
    refused("original", match=r"400 TB|1e\+08 GB|100000000 GB")
    assert server.gets == []


def test_a_store_that_cannot_be_written_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file in its place")
    refused("original", match="set \\$AVES_HOME elsewhere")
    (tmp_path / "store").unlink()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "owls-base").symlink_to("/dev/null")
    refused("original", match="set \\$AVES_HOME elsewhere")
    (tmp_path / "store" / "owls-base").unlink()
    assert server.gets == []


def test_a_server_that_is_not_there_is_told(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(path.read_text().replace(server.address, "http://127.0.0.1:9"))
    refused("original", match="cannot be fetched: .*refused")


def test_offline_uses_no_network(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch("original")
    server.gets.clear()
    server.heads.clear()
    result = CliRunner().invoke(main, ["fetch", "owls", "--offline"])
    assert result.exit_code == 2
    *missing, hint = result.output.splitlines()
    assert [line.rpartition("/")[2] for line in missing] == [
        f"owls-base.{ending}: not here, and fetching is turned off"
        for ending in ("torchaudio.pt", "torchaudio.model_config.json", "onnx")
    ]
    assert hint == "Hint: leave --offline out"
    monkeypatch.setenv("AVES_OFFLINE", "1")
    by_environment = CliRunner().invoke(main, ["fetch", "owls"])
    assert by_environment.exit_code == 2
    assert all(
        line.endswith(", and fetching is turned off by $AVES_OFFLINE") for line in by_environment.output.splitlines()
    )
    assert CliRunner().invoke(main, ["fetch", "owls", "--only", "original"]).exit_code == 0
    assert server.gets == server.heads == []
    monkeypatch.setenv("AVES_OFFLINE", "0")
    assert CliRunner().invoke(main, ["fetch", "owls"]).exit_code == 0


def test_a_proxy_of_the_environment_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(path.read_text().replace(server.address, "http://published.invalid"))
    monkeypatch.setenv("HTTP_PROXY", server.address)
    assert len(fetch()) == 4
    assert len(server.gets) == 4


def test_a_mirror_of_the_environment_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVES_MIRROR", f"{server.address}/mirror")
    server.files["/mirror/birdaves/birdaves-biox-base.torchaudio.model_config.json"] = BASE.to_json().encode()
    result = CliRunner().invoke(main, ["fetch", "birdaves-biox-base", "--only", "config"])
    assert result.exit_code == 0, result.output


def test_fetch_says_what_it_does(server: Server) -> None:
    result = CliRunner().invoke(main, ["fetch", "owls", "--only", "original,config"])
    assert result.exit_code == 0
    assert result.stderr == "fetching 2 files, 301 kB\n"
    assert str(original()) in result.stdout
    assert "2 files are as" in result.stdout
    again = CliRunner().invoke(main, ["fetch", "owls", "owls", "--only", "original"])
    assert again.stderr == ""
    assert again.stdout.count("already here") == 1
    assert len(server.gets) == 2


def test_size_is_unknown_where_the_server_gives_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bad.Handler, "do_HEAD", lambda handler: handler.answer(405, b""))
    result = CliRunner().invoke(main, ["fetch", "owls", "--only", "original"])
    assert result.exit_code == 0
    assert result.stderr == "fetching 1 files, 0 B and files of unknown size\n"
    assert len(server.gets) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give NAME… or --all"),
        (("owls", "--all"), "give NAME… or --all"),
        (("nowhere",), "neither a configuration nor a file"),
        (
            ("owls", "--only", "pytorch"),
            "pytorch: no kind of file that is published; there are original, torchaudio, config, onnx; give some",
        ),
        (("birdaves-biox-base", "--only", "original,onnx"), "birdaves-biox-base has no published original"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(arguments: tuple[str, ...], message: str, server: Server) -> None:
    result = CliRunner().invoke(main, ["fetch", *arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.splitlines()) == 1
    assert server.gets == []


@pytest.mark.usefixtures("server")
def test_all_with_only_takes_what_there_is() -> None:
    assert len(wanted_files([], everything=True, roles=["original"])) == 5
    assert len(wanted_files([], everything=True)) == 5 * 4 + 3 * 3
    assert wanted_files([str(Path(__file__))]) == []  # a checkpoint at a path is here already
