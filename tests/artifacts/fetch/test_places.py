"""Fetching into places of every kind: read-only, full, with odd names; and settings that cannot be used."""

import os
import shutil
import subprocess
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.support.servers import misbehaving_server as bad
from tests.support.servers.misbehaving_server import Server
from tests.support.servers.published_files import original, torch_file

from aves_artifacts.cli import main
from aves_artifacts.configurations.store import part_of, store
from aves_artifacts.fetch.download import Network
from aves_artifacts.fetch.lock_file import default_lock_file


def fetch(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["fetch", "owls", "--timeout", "1", *map(str, arguments)])
    assert result.exit_code in (0, 2), result.output
    return result


def refused(*arguments: object) -> str:
    """The one line of an error."""
    result = fetch(*arguments)
    assert result.exit_code == 2, result.output
    told = [line for line in result.stderr.splitlines() if not line.startswith("fetching ")]
    assert len(told) == 1, told
    return told[0]


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A file system of its own at ``folder``, which only root can make."""
    folder.mkdir(exist_ok=True)
    made = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("name", ["mit leerem Raum", "Hörproben-鳥", "a'b\"c", "-x", "%20"])
def test_a_store_of_any_name(name: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVES_HOME", str(tmp_path / name))
    assert fetch().exit_code == 0
    assert original().is_relative_to(tmp_path / name)
    assert original().read_bytes() == server.files["/owls.pt"]
    assert fetch("--offline").exit_code == 0


def test_a_full_disk_is_told_and_the_part_kept(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bad.Handler, "do_HEAD", lambda handler: handler.answer(405, b""))  # nothing warns beforehand
    with mounted(tmp_path / "store", "-o", "size=200k"):
        told = refused("--only", "original")
        assert "No space left on device" in told
        assert "make room" in told
        assert not original().exists()
        assert default_lock_file().entries() == {}
        kept = part_of(original()).stat().st_size
        assert 100_000 < kept < 204_800
        subprocess.run(["mount", "-o", "remount,size=1m", tmp_path / "store"], check=True)
        assert fetch("--only", "original").exit_code == 0
        assert original().read_bytes() == server.files["/owls.pt"]
        assert server.gets[-1] == ("/owls.pt", f"bytes={kept}-")


def test_what_filled_a_disk_and_cannot_be_continued_is_removed(server: Server, tmp_path: Path) -> None:
    """Such as the body without a length that a server does not end."""
    server.always["/owls.pt"] = bad.endless
    with mounted(tmp_path / "store", "-o", "size=2m"):
        assert "No space left on device" in refused("--only", "original")
        assert not part_of(original()).exists()


def test_a_disk_that_is_too_small_is_told_before_the_download(server: Server, tmp_path: Path) -> None:
    with mounted(tmp_path / "store", "-o", "size=200k"):
        assert "300 kB to fetch, 205 kB free" in refused("--only", "original")
    assert server.gets == []


def test_a_disk_that_is_full_when_the_lock_is_written_costs_no_download(server: Server, tmp_path: Path) -> None:
    with mounted(tmp_path / "other", "-o", "size=4k,nr_inodes=8"):
        lock = tmp_path / "other" / "lock.json"
        (tmp_path / "other" / "filler").write_bytes(b"x" * 4096)
        assert "No space left on device" in refused("--only", "original", "--lock", lock)
        assert not original().exists()
        assert part_of(original()).read_bytes() == server.files["/owls.pt"]
        (tmp_path / "other" / "filler").unlink()
        server.gets.clear()
        assert fetch("--only", "original", "--lock", lock).exit_code == 0
        assert server.gets == []


def test_a_read_only_store_serves_what_it_has(server: Server, tmp_path: Path) -> None:
    assert fetch("--only", "original,config").exit_code == 0
    shutil.copytree(store(), tmp_path / "copy")
    shutil.rmtree(store())
    with mounted(tmp_path / "store"):
        shutil.copytree(tmp_path / "copy", store(), dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", store()], check=True)
        server.gets.clear()
        assert "2 files are as" in fetch("--only", "original,config").stdout
        assert "2 files are as" in fetch("--only", "original,config", "--offline").stdout
        told = refused()
        assert "Read-only file system" in told
        assert server.gets == []


def test_a_lock_file_that_cannot_be_written_is_told_before_the_download(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for lock in (tmp_path / "file" / "lock.json", tmp_path):
        assert str(lock) in refused("--lock", lock)
    assert server.gets == []


def test_a_lock_file_of_everything_need_not_be_written(server: Server, tmp_path: Path) -> None:
    """As in a checkout that is read-only."""
    lock = tmp_path / "other" / "lock.json"
    with mounted(tmp_path / "other"):
        assert fetch("--lock", lock).exit_code == 0
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "other"], check=True)
        original().unlink()
        assert fetch("--lock", lock).exit_code == 0
        assert original().read_bytes() == server.files["/owls.pt"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PROXY", "ftp://127.0.0.1"),
        ("ALL_PROXY", "://"),
        ("SSL_CERT_FILE", "/nowhere/certificates.pem"),
        ("SSL_CERT_FILE", os.devnull),
    ],
)
def test_unusable_settings_are_told_and_are_no_obstacle_to_what_is_here(
    name: str, value: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fetch("--only", "original").exit_code == 0
    monkeypatch.setenv(name, value)
    server.gets.clear()
    assert fetch("--only", "original").exit_code == 0
    told = refused()
    assert "cannot use the network as the environment says" in told
    assert name in told
    assert server.gets == []


def test_a_socks_proxy_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    Network().client().close()


ADDRESSES = ["http://a..b/x", f"http://{'a' * 300}.org/x"]


@pytest.mark.parametrize("address", ADDRESSES, ids=["empty label", "long label"])
def test_an_impossible_host_is_told(address: str, server: Server) -> None:
    catalog = Path(os.environ["AVES_CATALOG"])
    catalog.write_text(catalog.read_text().replace('"owls.pt"', f'"{address}"'))
    assert "cannot be fetched" in refused("--only", "original")
    assert server.gets == []


def test_passwords_and_signatures_are_neither_told_nor_recorded(server: Server) -> None:
    secret = server.address.replace("http://", "http://user:secret@")
    server.files |= {f"{path}?signature=secret": content for path, content in server.files.items()}
    catalog = Path(os.environ["AVES_CATALOG"])
    catalog.write_text(catalog.read_text().replace(server.address, secret).replace('.pt"', '.pt?signature=secret"'))
    server.script["/owls.pt?signature=secret"] = deque([bad.say(404)])
    told = refused("--only", "original")
    assert f"{server.address}/owls.pt: the server answers 404" in told
    server.always["/owls.pt?signature=secret"] = bad.say(200, b"<html>")
    told += refused("--only", "original")
    del server.always["/owls.pt?signature=secret"]
    result = fetch()
    assert result.exit_code == 0
    files = [path.read_text(errors="replace") for path in store().rglob("*.json*")]
    assert "secret" not in told + result.output + default_lock_file().path.read_text() + "".join(files)


@pytest.mark.slow
def test_a_signature_that_changed_lets_a_download_go_on(server: Server) -> None:
    catalog = Path(os.environ["AVES_CATALOG"])
    text = catalog.read_text()
    for signature in ("one", "two"):
        server.files[f"/owls.pt?signature={signature}"] = torch_file(1)
    server.script["/owls.pt?signature=one"] = deque([bad.cut_after(1000), bad.say(404)])
    catalog.write_text(text.replace('"owls.pt"', '"owls.pt?signature=one"'))
    refused("--only", "original")
    catalog.write_text(text.replace('"owls.pt"', '"owls.pt?signature=two"'))
    assert fetch("--only", "original").exit_code == 0
    assert server.gets[-1] == ("/owls.pt?signature=two", "bytes=1000-")


def test_what_a_server_says_cannot_steer_the_terminal(server: Server) -> None:
    def answer(handler: bad.Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 404 \x1b]0;owned\x07\r\nContent-Length: 0\r\n\r\n")

    server.always["/owls.pt"] = answer
    told = refused("--only", "original")
    assert "owned" in told
    assert told.isprintable()
