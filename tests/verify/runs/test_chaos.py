"""Runs by their real commands while processes are killed, files damaged, disks full and stores away.

Each time the parts are, in the end, those of a run that nothing disturbed, byte for byte, and so is the report.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
from tests.support.corpus_commands import SLOWLY, Command, Ordered, gone, kill
from tests.support.corpus_runs import contents, sounds
from tests.support.servers.dask_cluster import running
from tests.support.servers.s3_server import BUCKET, S3Server

from aves_artifacts.bundle.bundle import Bundle
from aves_verify.corpus.addresses import patiently
from aves_verify.report.json_report import to_json
from aves_verify.verdict.verdict import corpus_report

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="signals, mounts and /proc")]

SEED = int(os.environ.get("AVES_CHAOS_SEED", random.SystemRandom().randrange(10_000)))
REPORTED = ("--max-unreadable", 1)


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing disturbed: its recordings, one of which cannot be read, its parts and its report."""

    sea: Path
    options: tuple[object, ...]
    parts: dict[str, bytes]
    report: Any

    def ordered(self, folder: Path, parts: Path | str | None = None, **more: Any) -> Ordered:
        folder.mkdir(exist_ok=True)
        return Ordered(str(parts or folder / "parts"), self.options, folder, **more)

    def check(self, run: Ordered) -> None:
        """The parts of a run are the same, and their report is what the command made of the others."""
        assert contents(Path(run.parts)) == self.parts
        assert json.loads(to_json(corpus_report(run.parts, unreadable=1))) == self.report


def undisturbed(folder: Path, bundle: Bundle, recordings: int, *more: object, backends: str) -> Undisturbed:
    sea = sounds(folder / "sea", recordings)
    (sea / "noise.wav").write_bytes(b"RIFF and nothing")
    options = ("--bundle", bundle.folder, "--backends", backends, *more, "--audio", sea)
    options = (*options, "--window", 0.5, "--shard-windows", 4)
    run = Ordered(str(folder / "parts"), options, folder)
    status, said = run.run()
    assert status == 0, said
    status, report = run.report(*REPORTED)
    assert status == 0, report
    return Undisturbed(sea, options, contents(folder / "parts"), report)


@pytest.fixture(scope="module")
def calm(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return undisturbed(tmp_path_factory.mktemp("calm"), tiny_bundle, 10, backends="torchaudio,onnx")


@pytest.fixture
def chance() -> random.Random:
    print(f"AVES_CHAOS_SEED={SEED}")
    return random.Random(SEED)  # noqa: S311 - moments, not secrets


def killed_at_random(run: Ordered, chance: random.Random, times: int, *more: object) -> int:
    """Run it with workers, and kill so many of its processes by turns: workers, and those that encoders have."""
    count = 0
    with run.start("--workers", 2, *more) as command:
        while count < times and command.wait_for("task", 1):
            time.sleep(chance.uniform(0, 0.5))
            count += kill(command, ("workers", "encoders")[count % 2], chance)
        status = command.ended()
        assert status in (0, 1), command.said
        assert status == 0 or "missing: " in command.said
    return count


def test_workers_and_encoders_that_are_killed_change_nothing(
    calm: Undisturbed, chance: random.Random, tmp_path: Path
) -> None:
    run = calm.ordered(tmp_path)
    assert killed_at_random(run, chance, 4) >= 2  # a fast machine may be through before the last
    run.until_done()
    calm.check(run)


@pytest.mark.scheduled
def test_many_that_are_killed_change_nothing(
    tiny_bundle: Bundle, chance: random.Random, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    more = undisturbed(tmp_path_factory.mktemp("calm"), tiny_bundle, 24, backends="torchaudio,onnx")
    run = more.ordered(tmp_path)
    assert killed_at_random(run, chance, 10) == 10
    run.until_done()
    more.check(run)


@pytest.mark.scheduled
def test_the_same_with_fairseq(
    tiny_bundle: Bundle,
    tiny_checkpoint: Path,
    chance: random.Random,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> None:
    folder = tmp_path_factory.mktemp("calm")
    original = undisturbed(folder, tiny_bundle, 3, "--fairseq", tiny_checkpoint, backends="fairseq,torchaudio,onnx")
    run = original.ordered(tmp_path)
    assert killed_at_random(run, chance, 2) == 2
    run.until_done()
    original.check(run)


def test_an_encoder_that_is_killed_is_no_verdict(calm: Undisturbed, tmp_path: Path) -> None:
    """In one process, where nobody replaces it, and no try is left: what was under way is missing."""
    run = calm.ordered(tmp_path)
    with run.start("--retries", 0, before=SLOWLY) as command:
        assert command.wait_for("task", 4)
        for each in command.encoders():  # some only wait to be used again
            each.kill()
        assert command.ended() == 1, command.said
        assert command.events("set-aside") == 1
        assert "the process of an encoder was killed while it was at work" in command.said
    run.until_done(most=1)
    calm.check(run)


@pytest.mark.parametrize(
    ("workers", "ends"),
    [
        ((), {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}),
        pytest.param(
            ("--workers", 2),
            {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143},
            marks=pytest.mark.scheduled,
        ),
    ],
    ids=["alone", "workers"],
)
def test_a_run_that_is_ended_at_any_moment_goes_on(
    workers: tuple[object, ...],
    ends: dict[signal.Signals, int],
    calm: Undisturbed,
    chance: random.Random,
    tmp_path: Path,
) -> None:
    run = calm.ordered(tmp_path)
    for number, status in ends.items():
        with run.start(*workers, before="" if workers else SLOWLY) as command:
            assert command.wait_for("start", 1), command.said
            time.sleep(chance.uniform(0, 4.0))
            below = command.below()
            os.killpg(command.process.pid, number)
            assert command.ended() == status, command.said
            assert "Traceback" not in command.said
            assert gone(below)
    leave_a_half(Path(run.parts), calm)
    run.until_done(*workers, most=1)
    calm.check(run)


def leave_a_half(parts: Path, calm: Undisturbed) -> None:
    """What a process leaves that is killed while it writes a part, a block of the index, and the list of the parts."""
    for name in (min(calm.parts), max(calm.parts)):
        (parts / f".{name}.0123abcd.partial").write_bytes(b"half")
    block = next((parts / "index").glob("[!.]*"))
    (parts / "index" / f".{block.name}.0123abcd.partial").write_bytes(b"half")


def test_a_scheduler_that_is_killed_is_told_and_another_goes_on(calm: Undisturbed, tmp_path: Path) -> None:
    run = calm.ordered(tmp_path)
    with running(folder(tmp_path / "one"), workers=2) as cluster, run.start("--scheduler", cluster.address) as command:
        assert command.wait_for("task", 3), command.said
        cluster.end(*filter(None, [cluster.scheduler]))
        assert command.ended() == 2, command.said
        assert "is gone, or let the run's tasks go: what is done is kept; run again" in command.said
    with running(folder(tmp_path / "two"), workers=2) as cluster:
        run.until_done("--scheduler", cluster.address, most=1)
    calm.check(run)


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_shares_at_the_same_time_make_what_one_process_makes(calm: Undisturbed, tmp_path: Path) -> None:
    run = calm.ordered(tmp_path)
    with run.start("--shard", "1/3") as one, run.start("--shard", "2/3") as two, run.start("--shard", "3/3") as three:
        for each in (one, two, three):
            assert each.ended() == 0, each.said
    calm.check(run)


def test_parts_that_are_damaged_while_a_run_goes_on(calm: Undisturbed, tmp_path: Path) -> None:
    run = calm.ordered(tmp_path)
    parts = Path(run.parts)
    with run.start(before=SLOWLY) as command:
        assert command.wait_for("task", 5), command.said
        cut_off, emptied, garbled = sorted(parts.glob("[!.]*.parquet"))[:3]
        cut_off.write_bytes(cut_off.read_bytes()[:-9])
        emptied.write_bytes(b"")
        garble(garbled)
        assert command.ended() == 1, command.said
        for path in (cut_off, emptied):
            assert f"missing: {path.name}: not there, or cut off, though it was made" in command.said
    status, report = run.report(*REPORTED)
    (problem,) = report["configs"][0]["problems"]
    assert status == 1
    assert problem.startswith("incomplete: 3 of ")
    assert problem.endswith("run aves-verify corpus run again with the same options")
    run.until_done("--check", most=1)
    calm.check(run)


def test_files_that_are_damaged_between_runs(calm: Undisturbed, tmp_path: Path) -> None:
    run = calm.ordered(tmp_path)
    run.until_done(most=1)
    parts = Path(run.parts)
    first, second, third, *_ = sorted(parts.glob("[!.]*.parquet"))
    first.write_bytes(first.read_bytes()[: first.stat().st_size // 2])
    garble(second)
    third.unlink()
    garble(next((parts / "index").iterdir()))
    next(parts.glob("*.json")).write_text("{")
    status, said = run.run("--check")
    assert status == 0, said
    assert ": 3 made, " in said
    calm.check(run)


def garble(path: Path) -> None:
    """Change what is in the middle, so that the file still ends as it should."""
    content = bytearray(path.read_bytes())
    for at in range(len(content) // 4, len(content) // 2):
        content[at] ^= 0x55
    path.write_bytes(content)


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[None]:
    """A file system of its own; the test is skipped where this user may not mount one."""
    path.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)]
    try:
        subprocess.run(mounting, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounts need a privileged user")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk_is_told_and_what_is_made_stays(calm: Undisturbed, tmp_path: Path) -> None:
    size = sum(map(len, calm.parts.values()))
    with small_disk(tmp_path / "disk", str(size // 2)):
        run = calm.ordered(tmp_path, tmp_path / "disk" / "parts")
        status, said = run.run("--workers", 2)
        assert status == 2, said
        (error,) = (line for line in said.splitlines() if not line.startswith("{") and "Error" in line)
        assert f"{run.parts}/" in error
        assert "No space left on device" in error
        assert error.endswith("make room and run again: what is done stays done")
        assert "missing: " not in said
        made = contents(Path(run.parts))
        assert made.items() <= calm.parts.items()
        assert not list(Path(run.parts).rglob("*.partial"))
        subprocess.run(["mount", "-o", f"remount,size={4 * size}", str(tmp_path / "disk")], check=True)
        run.until_done(most=1)
        calm.check(run)


def test_recordings_that_go_or_change_while_a_run_goes_on(calm: Undisturbed, tmp_path: Path) -> None:
    """No part tells of them: it would stand for the audio that was there, for ever."""
    sea = Path(shutil.copytree(calm.sea, tmp_path / "sea"))
    run = replace_audio(calm, sea).ordered(tmp_path)
    by_hash = sorted(sea.glob("[0-9]*.wav"), key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
    lost, changed = by_hash[-2:]  # in the last shards
    kept = {path: path.read_bytes() for path in (lost, changed)}
    with run.start("--retries", 0) as command:
        assert command.wait_for("task", 2), command.said
        lost.unlink()
        changed.write_bytes(kept[changed][::-1])
        assert command.ended() == 1, command.said
        assert (
            f"{lost.name}: cannot be read: No such file or directory; it could be read when it was indexed"
            in command.said
        )
        assert f"{changed.name}: changed since it was indexed; run again when nothing writes to it" in command.said
    for path, content in kept.items():
        path.write_bytes(content)
    run.until_done(most=1)
    calm.check(run)


def replace_audio(calm: Undisturbed, sea: Path | str) -> Undisturbed:
    return replace(calm, options=tuple(sea if each == calm.sea else each for each in calm.options))


@pytest.fixture
def store(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import s3fs

    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # those that are tested are ours
    s3fs.S3FileSystem.clear_instance_cache()
    yield s3fs.S3FileSystem(use_listings_cache=False)
    s3fs.S3FileSystem.clear_instance_cache()
    s3.down.unlink(missing_ok=True)


def stored(store: Any, address: str) -> dict[str, bytes]:
    """Every file there but the index."""
    root = address.removeprefix("s3://")
    names = (path.removeprefix(f"{root}/") for path in store.find(root))
    wanted = [name for name in names if not name.startswith("index/")]
    return {name: patiently(lambda at=name: store.cat_file(f"{root}/{at}"), address) for name in wanted}  # type: ignore[misc]


@pytest.mark.scheduled
def test_a_store_that_is_busy_for_a_while_is_waited_for(calm: Undisturbed, store: Any, tmp_path: Path) -> None:
    audio = f"s3://{BUCKET}/busy-0.3/sea"
    for path in calm.sea.iterdir():
        store.put_file(str(path), f"{audio}/{path.name}")
    run = replace_audio(calm, audio).ordered(tmp_path, f"s3://{BUCKET}/shut-0.4/busy-0.3/parts")
    status, said = run.run("--workers", 2, "--retries", 0)
    assert status == 0, said
    assert stored(store, run.parts) == calm.parts
    assert run.report(*REPORTED) == (0, calm.report)


def test_a_store_that_stays_away_is_told_and_nothing_is_lost(
    calm: Undisturbed, store: Any, s3: S3Server, tmp_path: Path
) -> None:
    run = calm.ordered(tmp_path, f"s3://{BUCKET}/away/parts")
    impatient = "from aves_verify.parts import writing; writing.PATIENCE = 1.0"
    with run.start(before=impatient) as command:
        assert command.wait_for("task", 3), command.said
        s3.down.touch()
        assert command.ended() == 2, command.said
        assert f"Error: s3://{BUCKET}/away/parts/" in command.said
        assert "Come back later; what is done stays done: run again when it answers" in command.said
        assert "missing: " not in command.said
    s3.down.unlink()
    there = stored(store, run.parts)
    assert len(there) >= 2
    assert there.items() <= calm.parts.items()
    run.until_done(most=1)
    assert stored(store, run.parts) == calm.parts


@pytest.mark.scheduled
def test_ten_thousand_windows_have_one_report_and_memory_does_not_grow(tiny_bundle: Bundle, tmp_path: Path) -> None:
    sea = folder(tmp_path / "sea")
    draw = np.random.default_rng(0)
    for number in range(100):
        sound = draw.normal(size=100 * 16_000) * 10 ** draw.uniform(-3, -1)
        soundfile.write(sea / f"{number:03}.wav", sound.astype(np.float32), 16_000, "PCM_16")
    options = ("--bundle", tiny_bundle.folder, "--backends", "torchaudio,onnx", "--audio", sea)
    options = (*options, "--window", 1, "--exact-every", 10)
    reports = []
    for name, more in (("alone", ()), ("one", ("--workers", 1)), ("two", ("--workers", 2))):
        run = Ordered(str(tmp_path / name / "parts"), options, folder(tmp_path / name))
        with run.start(*more) as command:
            held = Held(command)
            assert command.ended() == 0, command.said
            held.check()
        status, report = run.report()
        assert status == 0
        reports.append(report)
    assert reports[0] == reports[1] == reports[2]


class Held(threading.Thread):
    """Looks how much memory the processes of a run hold, and how many parts it had made by then."""

    def __init__(self, command: Command) -> None:
        super().__init__(daemon=True)
        self.command = command
        self.seen: dict[int, list[tuple[int, int]]] = {}  # of each process: parts, bytes
        self.start()

    def run(self) -> None:
        while self.command.process.poll() is None:
            parts = self.command.events("task")
            for process in self.command.below():
                with contextlib.suppress(psutil.Error):
                    self.seen.setdefault(process.pid, []).append((parts, process.memory_info().rss))
            time.sleep(0.5)

    def check(self) -> None:
        """At the end each holds hardly more than when a tenth was done: by then it has seen all there is to see."""
        self.join()
        total = max(parts for seen in self.seen.values() for parts, _ in seen)
        for seen in self.seen.values():
            early = [size for parts, size in seen if total // 20 < parts <= total // 5]
            late = [size for parts, size in seen if parts > total * 9 // 10]
            if early and late:
                assert max(late) < 1.15 * max(early) + (16 << 20), seen
