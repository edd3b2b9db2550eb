"""Forward passes: our graphs against other exporters' at many sizes, and against the models themselves."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.processes import Run, python, run, take_turns
from benchmarks.report.results import Curve, Measured, Part, Row, worst_ratio

OURS = ("graph", "fused")
EXPORTS = ("torchscript", "dynamo", "optimum")
FRAMEWORKS = ("torchaudio", "fairseq", "hugging-face")
NAMES = {
    "graph": "our graph",
    "fused": "our graph, fused attention",
    "opset-23": "our graph, opset 23",
    "torchscript": "torch.onnx.export",
    "dynamo": "torch.onnx.export, dynamo",
    "optimum": "optimum's ONNX",
    "torchaudio": "TorchAudio",
    "compiled": "TorchAudio, torch.compile",
    "fairseq": "fairseq",
    "hugging-face": "Hugging Face",
}
SAME = 1e-3  # RMS difference from float64 over the output's RMS: beyond it something else was computed
LENGTHS = (1, 3, 10, 30, 60, 120)


@dataclass(frozen=True)
class Case:
    """What is embedded, with how many threads, and how often."""

    seconds: float
    threads: int
    batch: int = 1
    rounds: int = 3  # in each process that graphs take turns in, else of processes
    warm_ups: int = 2  # rounds before, there
    processes: int = 1  # that graphs take turns in: each lays out its memory anew, which is worth 3 %
    repeats: int = 1  # in each round, where that is a process of its own
    apart: bool = False  # every graph in a process of its own: their memory does not fit side by side
    first: bool = False  # a first clip of this length, after a second of audio, is timed; else a second one

    @property
    def name(self) -> str:
        """For people."""
        batch = "" if self.batch == 1 else f"{self.batch} clips of "
        return f"{batch}{self.seconds:g} s, {self.threads} thread{'s' * (self.threads > 1)}"


QUICK = (Case(1, 2, batch=2, rounds=1, processes=2),)


def exports(bench: Bench) -> Part:
    """1 and 10 seconds, and eight seconds in a batch; more processes where they differ by more."""
    cases = [Case(1, threads, rounds=9, processes=5) for threads in (1, 2)]
    for seconds, batch in ((10, 1), (1, 8)):
        cases += [Case(seconds, 1, batch, rounds=3, processes=5), Case(seconds, 2, batch, rounds=2, processes=10)]
    return _against_exports(bench, QUICK if bench.quick else cases)


def long(bench: Bench) -> Part:
    """One and two minutes, where attention and memory count."""
    minute = Case(60, 1, rounds=1, warm_ups=1, processes=5)
    cases = [minute, replace(minute, threads=2), Case(120, 2, apart=True, first=True)]
    return _against_exports(bench, [Case(2, 2, rounds=1, apart=True, first=True)] if bench.quick else cases)


def _against_exports(bench: Bench, cases: Sequence[Case]) -> Part:
    others = EXPORTS[:1] if bench.quick else EXPORTS
    files = bench.graphs([*OURS, *others])
    rows, measured = [], []
    for case in cases:
        found = _measure(bench, case, files) if case.apart else _paired(bench, case, files)
        measured += found.values()
        rows += export_rows(bench, case, found, others)
        if case.apart:
            rows += memory_rows(case, found, others, "peak memory")
            again = _measure(bench, replace(case, rounds=1, first=False), files)
            rows += memory_rows(case, again, others, "peak memory of a second such clip")
    return Part(rows=rows, measured=measured)


def memory_rows(case: Case, found: dict[str, Measured], others: Sequence[str], what: str) -> list[Row]:
    """Each of our graphs against the smallest of the others."""
    smallest = min((found[name] for name in others), key=lambda each: each.peak_mib)
    rows = []
    for mine, allowed in ((found["graph"], None), (found["fused"], 0.5 if case.seconds == 120 else None)):
        named = f"{NAMES[mine.encoder]}: {case.name}, {what}"
        rows.append(Row(named, NAMES[smallest.encoder], "MiB", [mine.peak_mib], [smallest.peak_mib], allowed))
    return rows


def export_rows(bench: Bench, case: Case, found: dict[str, Measured], others: Sequence[str]) -> list[Row]:
    """Ours against the best of the others, which may be another one for each graph, and for time and error."""
    closest = min((found[name] for name in others), key=lambda each: each.error_ratio)
    graph, fused = found["graph"], found["fused"]
    floor = bench.product_seconds(case.seconds, case.batch, case.threads)

    def time(mine: Measured, allowed: float | None) -> Row:
        fastest = max((found[name] for name in others), key=lambda each: worst_ratio(mine.seconds, each.seconds))
        what, peer = f"{NAMES[mine.encoder]}: {case.name}", NAMES[fastest.encoder]
        return Row(what, peer, "s", mine.seconds, fastest.seconds, allowed, floor, "its products")

    rows = [time(graph, None if bench.quick else 1.03), time(fused, 0.75 if case.seconds == 120 else None)]
    what, unit = f"our graph: {case.name}, error against float64", "of the original's"
    allowed = None if bench.quick else 1.0
    rows.append(Row(what, NAMES[closest.encoder], unit, [graph.error_ratio], [closest.error_ratio], allowed))
    return rows


def frameworks(bench: Bench) -> Part:
    """Our graph against the models themselves; torch.compile at 10 seconds alone, as it takes long to compile."""
    sizes = ((1, 1, 1), (1, 1, 2), (10, 1, 1), (10, 1, 2), (1, 8, 1), (1, 8, 2), (60, 1, 2))
    cases = [Case(seconds, threads, batch, repeats=2) for seconds, batch, threads in sizes]
    graphs = bench.graphs(OURS)
    rows, measured = [], []
    for case in QUICK if bench.quick else cases:
        names = (*FRAMEWORKS, "compiled") if case.seconds == 10 else FRAMEWORKS
        found = _measure(bench, case, {**graphs, **dict.fromkeys(names, bench.checkpoint)})
        measured += found.values()
        floor = bench.product_seconds(case.seconds, case.batch, case.threads)
        graph = found["graph"].seconds
        for name in names:
            what = f"our graph beside {NAMES[name]}: {case.name}"
            rows.append(Row(what, NAMES[name], "s", graph, found[name].seconds, None, floor, "its products"))
    return Part(rows=rows, measured=measured)


def scale_length(bench: Bench) -> Part:
    """Time and peak memory over the length of a clip, 2 threads."""
    names = (*OURS, "opset-23", *([] if bench.quick else ["optimum"]))
    lengths = (1, 2) if bench.quick else LENGTHS
    files = bench.graphs(names)
    times: dict[str, list[float]] = {name: [] for name in names}
    peaks: dict[str, list[float]] = {name: [] for name in names}
    for seconds in lengths:
        case = Case(seconds, 2, rounds=1 if bench.quick or seconds >= 60 else 3, first=True)
        turns = take_turns({name: _command(case, name, files[name]) for name in names}, case.rounds, warm_up=False)
        for name, runs in turns.items():
            found = [json.loads(each.output) for each in runs]
            times[name].append(statistics.median(each["seconds"][0] for each in found))
            peaks[name].append(max(each["peak_mib"] for each in found))
    xs = [float(seconds) for seconds in lengths]
    return Part(
        curves=[
            Curve("inference", NAMES[name], "s of audio", unit, xs, ys[name])
            for name in names
            for unit, ys in (("s", times), ("MiB", peaks))
        ]
    )


def _measure(bench: Bench, case: Case, files: dict[str, Path]) -> dict[str, Measured]:
    """Every encoder's figures, all of them held against the same exact answer."""
    exact, unit = _answer(bench, case)
    commands = {name: [*_command(case, name, path), "--exact", str(exact)] for name, path in files.items()}
    runs = take_turns(commands, case.rounds, warm_up=False)
    return {name: _measured(case, name, each, unit) for name, each in runs.items()}


def _paired(bench: Bench, case: Case, files: dict[str, Path]) -> dict[str, Measured]:
    """The same of graphs, their times taken side by side, in one process after the other.

    What a process loads first is slower there by some percent, so each process begins with another graph.
    """
    alone = _measure(bench, replace(case, rounds=1, first=True), files)
    graphs = [f"{name}={path}" for name, path in files.items()]
    times = []
    for i in range(case.processes):
        turned = graphs[i % len(graphs) :] + graphs[: i % len(graphs)]
        rounds = ("--warm-ups", case.warm_ups, "--rounds", case.rounds)
        command = python("benchmarks.paired_process", *turned, *_sizes(case), *rounds)
        times.append(json.loads(run(command).output))
    return {name: replace(each, seconds=[s for found in times for s in found[name]]) for name, each in alone.items()}


def _answer(bench: Bench, case: Case) -> tuple[Path, float]:
    """The float64 answer, and how far from it the original's float32 one is, which TorchAudio computes bit for bit."""
    key = (case.seconds, case.batch)
    if key not in bench.answers:
        once = replace(case, threads=2, repeats=1)
        path = bench.work / f"exact-{case.batch}x{case.seconds:g}.npy"
        run([*_command(once, "exact", bench.checkpoint), "--save", str(path)])
        original = json.loads(run([*_command(once, "torchaudio", bench.checkpoint), "--exact", str(path)]).output)
        bench.answers[key] = path, original["error"]
    return bench.answers[key]


def _command(case: Case, name: str, path: Path) -> list[str]:
    warm_up = ("--warm-up", 1) if case.first else ()
    return python("benchmarks.peers.encoder_process", name, path, *_sizes(case), "--repeats", case.repeats, *warm_up)


def _sizes(case: Case) -> tuple[object, ...]:
    return ("--threads", case.threads, "--seconds", case.seconds, "--batch", case.batch)


def _measured(case: Case, name: str, runs: list[Run], unit: float) -> Measured:
    found = [json.loads(each.output) for each in runs]
    relative = found[0]["error"] / found[0]["scale"]
    if not relative <= SAME:  # NaN neither
        raise RuntimeError(f"{name}, {case.name}: {relative:.1e} from the exact answer; these do not do the same work")
    times = [statistics.median(each["seconds"]) for each in found]
    return Measured(case.name, name, times, max(each["peak_mib"] for each in found), found[0]["error"] / unit)
