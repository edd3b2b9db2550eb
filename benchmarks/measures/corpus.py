"""A run over a corpus: what a second worker brings, what it takes beside the forward passes, and its report."""

from __future__ import annotations

import hashlib
import json
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.processes import Command, Run, python, run, tool
from benchmarks.report.results import Curve, Part, Row
from benchmarks.watched import Watched

ALONE, ONE, TWO = "this process alone", "1 worker", "2 workers"
LOOP, POOL = "a loop over files by hand", "multiprocessing.Pool by hand"
WORKERS = {ALONE: (), ONE: ("--workers", 1), TWO: ("--workers", 2)}
REPORTED = (300, 1_000, 3_000)  # parts
TASKS = 2_000  # that do nothing
_EARLY, _LATE = (0.02, 0.1), (0.9, 1.0)  # shares of the parts


@dataclass(frozen=True)
class Corpus:
    """A bundle and recordings, cut into windows of so many seconds; ``name`` it has in rows."""

    name: str
    bundle: Path
    audio: Path
    window: float
    work: Path
    rounds: int

    @property
    def parts(self) -> Path:
        """Where parts go, which are made anew by each run."""
        return self.work / "parts"

    def digest(self) -> str:
        """The hash of all parts' names and bytes."""
        found = hashlib.sha256()
        for path in sorted(self.parts.glob("[!.]*.parquet")):
            found.update(f"{path.name}\n".encode() + path.read_bytes())
        return found.hexdigest()

    def command(self, who: str) -> Command:
        """What each does that is held against another."""
        if who in (LOOP, POOL):
            processes = ("--processes", 2 if who == POOL else 1)
            return python(
                "benchmarks.peers.corpus_by_hand", self.bundle, self.audio, "--window", self.window, *processes
            )
        return python(
            *("benchmarks.peers.corpus_process", "run", self.bundle, self.audio, self.parts),
            *("--window", self.window, *WORKERS[who]),
        )


def tiny_corpus(bench: Bench) -> Part:
    """Windows of a second with a tiny model: nearly all that is measured is what a run takes beside the encoders."""
    windows = 200 if bench.quick else bench.windows
    folder = bench.work / "tiny-corpus"
    checkpoint = folder / "tiny.pt"
    if not checkpoint.exists():
        folder.mkdir(parents=True, exist_ok=True)
        run(python("benchmarks.checkpoints", "tiny", checkpoint))
    bundle = folder / "bundle"
    run(tool("aves-convert", "bundle", checkpoint, "--out", bundle, "--name", "base", "--force"))
    audio = folder / f"audio-{windows}"
    _make_audio(bench, audio, windows)
    corpus = Corpus("tiny corpus", bundle, audio, 1.0, folder, 1 if bench.quick else 3)
    turns = _take_turns(corpus, (ALONE, ONE, TWO, LOOP, POOL))
    rows = [
        turns.row(TWO, ONE),
        turns.row(ONE, ALONE),
        turns.row(ALONE, LOOP),
        turns.row(TWO, POOL, ", by hand"),
        turns.beside_forward(ALONE),
        *turns.memory_rows(),
        *_size_rows(corpus, float(windows), turns.median(TWO)),
    ]
    count = 50 if bench.quick else TASKS
    nothing = [_told(python("benchmarks.peers.corpus_process", "tasks", count, "--workers", 2))["seconds"]]
    rows.append(Row("a task that does nothing, 2 workers", "", "s", nothing))
    counts = (20, 40) if bench.quick else REPORTED
    reports = {count: _report(corpus, count) for count in counts}
    largest = reports[counts[-1]]
    rows.append(Row(f"a report of {counts[-1]} parts", "", "s", [largest.seconds]))
    rows.append(
        Row(
            *(f"a report of {counts[-1]} parts, peak memory", f"of {counts[0]}", "MiB"),
            *([largest.peak_mib], [reports[counts[0]].peak_mib], 1.5),
        )
    )
    sizes = [float(count) for count in counts]
    curve = Curve("report", "aves-verify corpus", "parts", "s", sizes, [each.seconds for each in reports.values()])
    return Part(rows=rows, curves=[curve])


def base_corpus(bench: Bench) -> Part:
    """Windows of ten seconds with the checkpoint, ``--hours`` of them: what a corpus takes."""
    seconds = 60.0 if bench.quick else 3600 * bench.hours
    folder = bench.work / "base-corpus"
    corpus = Corpus("base corpus", bench.bundle, folder / f"audio-{seconds:g}", 10.0, folder, 1)
    _make_audio(bench, corpus.audio, seconds)
    turns = _take_turns(corpus, (ONE, TWO))
    scaling = turns.row(TWO, ONE)
    rows = [
        scaling if bench.quick else replace(scaling, allowed=1 / 1.8),
        turns.beside_forward(ONE),
        *turns.memory_rows(),
        *_size_rows(corpus, seconds, turns.median(TWO)),
    ]
    tenth = replace(corpus, audio=folder / f"audio-{seconds / 10:g}", name="a tenth of the base corpus")
    _make_audio(bench, tenth.audio, seconds / 10)
    return Part(rows=[*rows, _take_turns(tenth, (ALONE, LOOP)).row(ALONE, LOOP)])


def _make_audio(bench: Bench, audio: Path, seconds: float) -> None:
    shutil.rmtree(audio, ignore_errors=True)
    run(python("benchmarks.peers.corpus_audio", audio, seconds, *bench.recordings))


@dataclass(frozen=True)
class Turns:
    """The runs of all who did the same, by who they are, and what one worker's processes held meanwhile."""

    name: str
    runs: dict[str, list[Run]]
    watched: Watched

    def row(self, who: str, peer: str, more: str = "") -> Row:
        """One against another, from start to end."""
        ours, theirs = ([each.seconds for each in self.runs[one]] for one in (who, peer))
        return Row(f"{self.name}, {who}{more}", peer, "s", ours, theirs)

    def told(self, who: str, number: str) -> list[float]:
        """A number that the runs print."""
        return [float(json.loads(each.output)[number]) for each in self.runs[who]]

    def median(self, who: str) -> float:
        """How long it took, in seconds from start to end."""
        return statistics.median(each.seconds for each in self.runs[who])

    def beside_forward(self, who: str) -> Row:
        """The time of all tasks, whoever did them, against that of their forward passes alone."""
        what = f"{self.name}, making all parts, {who}"
        return Row(what, "their forward passes", "s", self.told(who, "seconds"), self.told(who, "forward"))

    def memory_rows(self) -> list[Row]:
        """What the largest process held at the end against what it held at the beginning."""
        early, late = self.watched.within(_EARLY), self.watched.within(_LATE)
        if early is None or late is None:  # too short a run to look
            return []
        what = f"{self.name}, the largest process of {ONE}, at the end"
        return [Row(what, "at the beginning", "MiB", [late], [early], 1.1)]


def _take_turns(corpus: Corpus, all_who: Sequence[str]) -> Turns:
    """All who do the same take turns. Raises RuntimeError where two of ours made other parts."""
    turns = Turns(corpus.name, {who: [] for who in all_who}, Watched(corpus.parts))
    made = set()
    for i in range(corpus.rounds):
        for who in all_who[:: (-1) ** i]:
            if who not in WORKERS:
                turns.runs[who].append(run(corpus.command(who)))
                continue
            shutil.rmtree(corpus.parts, ignore_errors=True)  # the last ones stay, to be looked at
            if who == ONE:
                turns.watched.seen.clear()
            turns.runs[who].append(run(corpus.command(who), meanwhile=turns.watched.looking if who == ONE else None))
            made.add(corpus.digest())
    if len(made) > 1:
        raise RuntimeError(f"{corpus.name}: runs that differ in their workers alone made other parts")
    return turns


def _size_rows(corpus: Corpus, seconds: float, took: float) -> list[Row]:
    """How much is read and written, for each second of sound, and how fast 2 workers are."""
    parts = [path.stat().st_size for path in corpus.parts.glob("[!.]*.parquet")]
    audio = sum(path.stat().st_size for path in corpus.audio.iterdir())
    name = corpus.name
    return [
        Row(f"{name}, sound in a second, {TWO}", "", "s", [seconds / took]),
        Row(f"{name}, parts of an hour of sound", "", "parts", [len(parts) / seconds * 3600]),
        Row(f"{name}, parts written for an hour of sound", "", "MiB", [sum(parts) / 2**20 / seconds * 3600]),
        Row(f"{name}, audio read for an hour of sound, FLAC at 16 kHz", "", "MiB", [audio / 2**20 / seconds * 3600]),
    ]


def _told(command: Command) -> dict[str, float]:
    found: dict[str, float] = json.loads(run(command).output)
    return found


def _report(corpus: Corpus, count: int) -> Run:
    """The report of so many parts: those that there are, each as often as is wanted, of another shard every time."""
    folder = corpus.work / "reported"
    shutil.rmtree(folder, ignore_errors=True)
    run(python("benchmarks.peers.corpus_parts", corpus.parts, folder, count))
    return run(tool("aves-verify", "corpus", "report", "--parts", folder))
