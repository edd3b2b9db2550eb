"""Publishers in processes of their own: killed at random moments, two at once, on a disk that is full."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.plain_releases import plain_release

from aves_artifacts.files.address import Address, open_address
from aves_artifacts.release.index import INDEX
from aves_artifacts.release.staging import Release

pytestmark = pytest.mark.slow

FILES, SIZE = 60, 200_000
# Moments at which a publisher is killed; a store behind a server takes its time for each file.
MOMENTS = {"file": 10, "s3": 4}
in_other_processes = pytest.mark.parametrize("address", ["folder", "s3"], indirect=True)


def start(folder: Path, url: str, *more: str, seed: int = 0) -> subprocess.Popen[str]:
    arguments = [*command(folder, url, seed), *more]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def command(folder: Path, url: str, seed: int = 0) -> list[str]:
    arguments = ["run", str(folder), str(FILES), str(SIZE), str(seed), url]
    return [sys.executable, "-m", "tests.support.publishing_process", *arguments]


def begun(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "begin\n", process.communicate()[1]


@dataclass
class Reader:
    """Looks at a version again and again, as a user who starts at the index."""

    place: Address
    release: Release
    looks: int = 0
    whole: int = 0
    wrong: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Where there is an index, everything that it lists is there."""
        index = self.place.read(INDEX)
        self.looks += 1
        if index is None:
            return
        self.whole += 1
        if index != self.release.index.source.read_bytes():
            self.wrong.append(f"the index has {len(index)} bytes")
            return
        for name, size, sha256 in json.loads(index):
            found = self.place.record(name)
            if found is None or (found.size, found.sha256) != (size, sha256):
                self.wrong.append(f"{name}: {found}")

    def run(self) -> None:
        while not self.ended.is_set():
            self.look()


@pytest.fixture
def reading(address: Address, tmp_path: Path) -> Iterator[Reader]:
    release = plain_release(tmp_path / "expected", files=FILES, size=SIZE)
    reader = Reader(open_address(address.url).below("1.0"), release)
    thread = threading.Thread(target=reader.run)
    thread.start()
    yield reader
    reader.ended.set()
    thread.join()
    assert reader.looks > 20
    assert reader.wrong == []


@in_other_processes
def test_killed_at_random_moments_and_run_again(address: Address, reading: Reader, tmp_path: Path) -> None:
    generator = random.Random(6)  # noqa: S311
    place, moments = address.below("1.0"), MOMENTS["s3" if address.url.startswith("s3:") else "file"]
    for kill in range(moments):
        process = start(tmp_path / "sources", address.url, "--stuck")
        begun(process)
        least, most = (part * FILES // (moments + 2) for part in (kill, kill + 1))
        wait_until(process, place, generator.randint(least, most))
        time.sleep(generator.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        assert process.returncode == -signal.SIGKILL  # and had not ended before
        assert place.size(INDEX) is None
    process = start(tmp_path / "sources", address.url)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "is published" in output
    reading.look()
    assert reading.whole >= 1
    names = {path.rsplit("1.0/", 1)[1] for path in address.filesystem.find(place.root)}
    assert names == {f"owls/{i}.bin" for i in range(FILES)} | {"claim.json", INDEX}


def wait_until(process: subprocess.Popen[str], place: Address, files: int) -> None:
    """Until so many files are there; the claim is not counted."""
    deadline = time.monotonic() + 60
    while process.poll() is None and sum(".bin" in path for path in place.filesystem.find(place.root)) < files:
        assert time.monotonic() < deadline


@in_other_processes
def test_of_two_publishers_at_once_one_wins_and_nothing_is_mixed(address: Address, tmp_path: Path) -> None:
    for attempt in range(1 if address.url.startswith("s3:") else 3):
        url = f"{address.url}/{attempt}"
        processes = [start(tmp_path / f"sources{seed}", url, seed=seed) for seed in (1, 2)]
        outputs = [process.communicate(timeout=120) for process in processes]
        codes = [process.returncode for process in processes]
        assert sorted(codes) == [0, 2], outputs
        _, errors = outputs[codes.index(2)]
        assert len(errors.splitlines()) == 1
        assert "with other content" in errors
        seed = (1, 2)[codes.index(0)]
        winner = plain_release(tmp_path / f"sources{seed}", files=FILES, size=SIZE, seed=seed)
        place = open_address(url).below("1.0")
        assert place.read(INDEX) == winner.index.source.read_bytes()
        for file in winner.files:
            assert place.read(file.name) == file.source.read_bytes()


@in_other_processes
def test_two_publishers_of_the_same_release_both_succeed(address: Address, tmp_path: Path) -> None:
    processes = [start(tmp_path / f"sources{i}", address.url) for i in range(2)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    release = plain_release(tmp_path / "sources0", files=FILES, size=SIZE)
    reader = Reader(address.below("1.0"), release)
    reader.look()
    assert (reader.whole, reader.wrong) == (1, [])


def test_a_file_that_does_not_fit_is_told_and_nothing_half_is_left(tmp_path: Path) -> None:
    place = tmp_path / "place"
    process = start(tmp_path / "sources", str(place), "--largest", str(SIZE - 1))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert errors.splitlines()
    assert all(line.endswith("File too large") for line in errors.splitlines()), errors
    assert [path.name for path in place.rglob("*") if path.is_file()] == ["claim.json"]
    process = start(tmp_path / "sources", str(place))
    process.communicate(timeout=120)
    assert process.returncode == 0


def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    """On a file system that holds half of the release, which ``unshare`` lets anybody mount."""
    if not can_mount():
        pytest.skip("this system lets nobody mount a file system of his own; the test above still runs")
    place, script = tmp_path / "place", tmp_path / "script.sh"
    place.mkdir()
    inside = " ".join(command(tmp_path / "sources", str(place)))
    script.write_text(
        f"mount -t tmpfs -o size={FILES * SIZE // 2} none {place} || exit 99\n"
        f"{inside}; echo first $?\n"
        f"find {place} -name index.json -o -name '.*' -type f\n"
        f"find {place} -name '*.bin' | wc -l\n"
        f"mount -o remount,size={FILES * SIZE * 2} {place} || exit 99\n"
        f"{inside}; echo second $?\n"
        f"cp -r {place} {tmp_path}/kept\n"
    )
    ended = subprocess.run([*UNSHARE, "sh", str(script)], capture_output=True, text=True, check=False)
    lines = ended.stdout.splitlines()
    assert lines[:2] == ["begin", "first 2"], (ended.stdout, ended.stderr)
    assert 0 < int(lines[2]) < FILES  # neither an index nor a half file was found before
    assert "No space left on device" in ended.stderr
    assert lines[-1] == "second 0"
    uploaded = next(line for line in lines if line.startswith("uploaded"))
    assert uploaded.startswith(f"uploaded {FILES - int(lines[2])} files")
    release = plain_release(tmp_path / "sources", files=FILES, size=SIZE)
    for file in release.files:
        kept = (tmp_path / "kept" / "1.0" / file.name).read_bytes()
        assert hashlib.sha256(kept).hexdigest() == file.sha256


UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    test = [*UNSHARE, "sh", "-c", "mount -t tmpfs none /mnt"]
    return subprocess.run(test, capture_output=True, check=False).returncode == 0
