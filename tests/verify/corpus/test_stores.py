"""Corpora in a store: one that answers, one that is busy for a while, and one that is gone."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.corpora import KINDS, record
from tests.support.servers import misbehaving_server
from tests.support.servers.s3_server import BUCKET, S3Server

from aves_artifacts.base.errors import InputError
from aves_verify.corpus import addresses, index, windows
from aves_verify.corpus.addresses import StoreError, patiently, refusal
from aves_verify.corpus.index import Recording, index_block
from aves_verify.corpus.listing import list_audio
from aves_verify.corpus.windows import Cutting, read_windows, stretches

CUTTING = Cutting(2.0, 2.0, 3)


@pytest.fixture
def store(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The bucket, reached with the client's own attempts switched off: what is tested are ours."""
    import s3fs

    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    yield s3fs.S3FileSystem(use_listings_cache=False)
    s3fs.S3FileSystem.clear_instance_cache()


def hashes(recording: Recording) -> list[str]:
    return [each.clip.sha256 for stretch in stretches(recording, CUTTING) for each in read_windows(stretch, CUTTING)]


@pytest.mark.slow
def test_a_folder_in_a_store_is_what_it_is_here(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KINDS:
        record(tmp_path / "corpus" / "all" / name, 7)
    store.put(str(tmp_path / "corpus"), f"{BUCKET}/corpus", recursive=True)
    address = f"s3://{BUCKET}/corpus"
    here, there = (list_audio([each]) for each in (str(tmp_path / "corpus"), address))
    assert [each.name for each in there] == [each.name for each in here]
    assert all(each.version for each in there)
    here, there = index_block(here), index_block(there)
    assert [each.sha256 for each in there] == [each.sha256 for each in here]
    assert not any(each.reason for each in there)
    whole = [hashes(each) for each in here]
    assert [hashes(each) for each in there] == whole
    monkeypatch.setattr(index, "WHOLE", 1000)
    monkeypatch.setattr(windows, "WHOLE", 1000)
    monkeypatch.setattr(windows, "_kept", None)
    monkeypatch.setattr(addresses, "_BLOCK", 1 << 16)
    assert index_block(list_audio([address])) == there
    assert [hashes(each) for each in there] == whole


def test_a_tar_and_a_manifest_in_a_store(store: Any, tmp_path: Path) -> None:
    path = record(tmp_path / "a.wav", 5)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(path, "one/a.wav")
    store.pipe_file(f"{BUCKET}/packs/x.tar", packed.getvalue())
    store.pipe_file(f"{BUCKET}/packs/m.jsonl", b'{"audio_filepath": "x.tar"}\n')
    for given in (f"s3://{BUCKET}/packs/", f"s3://{BUCKET}/packs/x.tar", f"s3://{BUCKET}/packs/m.jsonl"):
        (found,) = index_block(list_audio([given]))
        assert found.name == "x.tar/one/a.wav"
        assert hashes(found) == hashes(index_block(list_audio([str(path)]))[0])


@pytest.mark.slow
def test_a_store_that_is_busy_for_a_while_is_waited_for(store: Any, tmp_path: Path) -> None:
    path = record(tmp_path / "a.wav", 3)
    store.put_file(str(path), f"{BUCKET}/busy-0.8/a.wav")
    (found,) = index_block(list_audio([f"s3://{BUCKET}/busy-0.8/a.wav"]))
    assert found.reason == ""
    assert len(hashes(found)) == 2


@pytest.mark.slow
def test_a_store_that_stays_busy_is_no_fault_of_the_recording(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(tmp_path / "a.wav", 3)
    monkeypatch.setattr(addresses, "PATIENCE", 0.5)
    store.put_file(str(path), f"{BUCKET}/busy-1000/a.wav")
    entries = list_audio([f"s3://{BUCKET}/busy-1000/a.wav"])
    message = rf"s3://{BUCKET}/busy-1000/a\.wav: the store does not give it: Come back later"
    with pytest.raises(StoreError, match=message):
        index_block(entries)
    (local,) = index_block(list_audio([str(path)]))
    remote = Recording(**{**vars(local), "address": entries[0].address})
    for whole in (windows.WHOLE, 1000):  # the latter in libsndfile's hands
        monkeypatch.setattr(windows, "WHOLE", whole)
        monkeypatch.setattr(windows, "_kept", None)
        with pytest.raises(StoreError, match=message):
            hashes(remote)


def test_what_is_gone_or_forbidden_is_a_reason(store: Any, tmp_path: Path) -> None:
    path = record(tmp_path / "a.wav", 3)
    store.put_file(str(path), f"{BUCKET}/gone/a.wav")
    entries = list_audio([f"s3://{BUCKET}/gone"])
    (recording,) = index_block(entries)
    store.rm_file(f"{BUCKET}/gone/a.wav")
    windows._kept = None
    assert index_block(entries)[0].reason == "a.wav: cannot be read: no such file"
    with pytest.raises(InputError, match=r"a\.wav: cannot be read: no such file") as caught:
        hashes(recording)
    assert not isinstance(caught.value, StoreError)
    with pytest.raises(InputError, match=rf"s3://{BUCKET}/nowhere: no such file or folder"):
        list_audio([f"s3://{BUCKET}/nowhere"])


def test_a_server_that_is_not_there(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    del store
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(addresses, "PATIENCE", 0.5)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreError, match=r"s3://b/x: the store does not give it: Could not connect"):
        list_audio(["s3://b/x"])


def test_plain_web_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = record(tmp_path / "a.wav", 3).read_bytes()
    monkeypatch.setattr(addresses, "PATIENCE", 2.0)
    with misbehaving_server.serving() as server:
        server.files["/a.wav"] = content
        server.files["/m.txt"] = b"a.wav\ngone.wav\n"
        server.script["/a.wav"].append(misbehaving_server.say(503))
        found = index_block(list_audio([f"{server.address}/m.txt"]))
        assert [each.reason for each in found] == ["", "gone.wav: cannot be read: no such file"]
        assert len(hashes(found[0])) == 2
        server.always["/a.wav"] = misbehaving_server.say(403)
        windows._kept = None
        with pytest.raises(InputError, match=r"a\.wav: cannot be read: Permission denied"):
            hashes(found[0])


def test_a_server_that_sends_a_byte_now_and_then_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = record(tmp_path / "a.wav", 3).read_bytes()
    monkeypatch.setattr(addresses, "ANSWER", 1.0)
    with misbehaving_server.serving() as server:
        server.files["/a.wav"] = content
        entries = list_audio([f"{server.address}/a.wav"])
        server.always["/a.wav"] = misbehaving_server.trickle
        with pytest.raises(StoreError, match=r"a\.wav: the store has not answered in \d s"):
            index_block(entries)


def test_a_web_server_that_goes_away_takes_no_recording_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsspec says of a server that cannot be reached, or is busy, that there is no such file."""
    content = record(tmp_path / "a.wav", 3).read_bytes()
    monkeypatch.setattr(addresses, "PATIENCE", 0.5)
    with misbehaving_server.serving() as server:
        server.files["/a.wav"] = content
        address = f"{server.address}/a.wav"
        (entry,) = list_audio([address])
        (found,) = index_block([entry])
        busy = misbehaving_server.say(503)
        server.always["/b.wav"] = busy
        with pytest.raises(StoreError, match=r"b\.wav: the store does not give it: .*503"):
            list_audio([f"{server.address}/b.wav"])
        server.files["/m.txt"] = b"a.wav\nb.wav\n"
        with pytest.raises(StoreError, match=r"b\.wav: the store does not give it"):
            list_audio([f"{server.address}/m.txt"])
    windows._kept = None
    for work in (lambda: list_audio([address]), lambda: index_block([entry]), lambda: hashes(found)):
        with pytest.raises(StoreError, match=r"a\.wav: the store does not give it: .*[Cc]onnect"):
            work()


def test_several_threads_read_at_once(store: Any, tmp_path: Path) -> None:
    for number in range(4):
        record(tmp_path / "many" / f"{number}.wav", 3, seed=number)
    store.put(str(tmp_path / "many"), f"{BUCKET}/many", recursive=True)
    found = index_block(list_audio([f"s3://{BUCKET}/many"]))
    alone = [hashes(each) for each in found]
    together: dict[int, list[str]] = {}
    threads = [
        threading.Thread(target=lambda n=number, r=each: together.update({n: hashes(r)}))  # type: ignore[misc]
        for number, each in enumerate(found)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[number] for number in range(4)] == alone


def test_which_failures_are_the_files_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "PATIENCE", 0.1)

    def failing(error: Exception) -> Any:
        def work() -> None:
            raise error

        return work

    expired = PermissionError("The provided token has expired.")
    expired.__cause__ = _Answered({"Error": {"Code": "ExpiredToken"}})
    for error in (TimeoutError(), ConnectionResetError(), OSError(5, "Input/output error"), expired, RuntimeError("?")):
        with pytest.raises(StoreError, match="s3://b/x: the store does not give it: "):
            patiently(failing(error), "s3://b/x")
    for error in (FileNotFoundError("b/x"), PermissionError("Forbidden")):
        with pytest.raises(type(error)):
            patiently(failing(error), "s3://b/x")
    with pytest.raises(StoreError, match="Stale file handle"):
        patiently(failing(OSError(116, "Stale file handle")), "/nfs/x")
    for number, kind in ((5, InputError), (116, StoreError), (2, InputError), (13, InputError)):
        assert type(refusal(OSError(number, "?"), "x.wav")) is kind


class _Answered(Exception):  # noqa: N818
    def __init__(self, response: dict[str, Any]) -> None:
        super().__init__()
        self.response = response
