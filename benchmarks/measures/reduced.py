"""Smaller graphs: what they cost, and how much smaller and faster they are; ours beside what other tools make."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measures.inference import Case
from benchmarks.peers import packages
from benchmarks.processes import python, run, take_turns, tool
from benchmarks.report.results import Part, Reduced, Row

from aves_artifacts.base.processor import multiplies_int8
from aves_artifacts.files.file_record import sha256_of

FLOAT32 = "graph"
REDUCED_NAMES = {
    FLOAT32: "our graph, float32",
    "float16-weights": "ours, float16 weights",
    "int8": "ours, int8",
    "int8-searched": "ours, int8, searched",
    "int8-searched-half": "ours, int8, searched, float16 weights",
    "onnxruntime": "ONNX Runtime's quantize_dynamic",
    "onnxruntime-matmul": "the same, MatMul alone",
    "onnxruntime-rows": "the same, MatMul alone, per channel",
    "optimum-int8": "optimum's avx512_vnni, dynamic",
    "optimum-int8-matmul": "the same, MatMul alone",
    "converter-float16": "onnxconverter-common's float16",
    "torchaudio": "TorchAudio, float32",
    "torch-dynamic": "TorchAudio, torch.ao dynamic",
}
OURS = (FLOAT32, "float16-weights", "int8", "int8-searched", "int8-searched-half")
MIN_COSINE = 0.999  # what is searched for
_LIMITS = {"float16-weights": 1.02, "int8-searched": 0.75, "int8-searched-half": 0.75}  # of float32's time
_BYTES_OF_MB = 10**6


@dataclass(frozen=True)
class Candidate:
    """What is measured: a file that an encoder's process takes, and the size in bytes of what is stored."""

    file: Path
    size: int


@dataclass(frozen=True)
class Judged:
    """What a candidate costs, and its file: none where it cannot be made or nothing runs it."""

    found: Reduced
    file: Path | None = None


def reduced(bench: Bench) -> Part:
    """1 and 10 seconds."""
    short = [Case(1, threads, rounds=5, processes=2) for threads in (1, 2)]
    middle = [Case(10, threads, rounds=2, warm_ups=1, processes=2) for threads in (1, 2)]
    return _measured(bench, [Case(1, 1, rounds=1, warm_ups=1)] if bench.quick else [*short, *middle])


def reduced_long(bench: Bench) -> Part:
    """A minute, each in a process of its own: their memory does not fit side by side."""
    cases = [Case(60, threads, rounds=3, apart=True, first=True) for threads in (1, 2)]
    return _measured(bench, [Case(2, 1, rounds=1, apart=True, first=True)] if bench.quick else cases)


def _measured(bench: Bench, cases: Sequence[Case]) -> Part:
    """File size, cost on sounds that were not searched on, and time beside our float32 graph of the same rounds."""
    folder = bench.work / "reduced"
    folder.mkdir(exist_ok=True)
    reference = _reference(bench, folder)
    judged = {name: _judged(name, make, reference) for name, make in _makers(bench, folder).items()}
    files = {name: each.file for name, each in judged.items() if each.file is not None}
    times = {case.name: _times(case, files) for case in cases}
    measured = [
        replace(judged[name].found, seconds={case: seconds[name] for case, seconds in times.items() if name in files})
        for name in REDUCED_NAMES
        if name in judged
    ]
    return Part(rows=list(promises(measured, quick=bench.quick)), reduced=measured)


def promises(measured: Sequence[Reduced], *, quick: bool = False) -> Iterator[Row]:
    """What is promised of our own: size, cost and time; the time in eight bits where a processor multiplies those."""
    by_name = {each.encoder: each for each in measured}
    base = by_name[FLOAT32]
    for name, allowed in _LIMITS.items():
        each, what = by_name[name], REDUCED_NAMES[name]
        half = name == "float16-weights"
        mb, limit = each.size / _BYTES_OF_MB, 190.0 if half else 0.4
        theirs = [] if half else [base.size / _BYTES_OF_MB]
        peer = "" if half else REDUCED_NAMES[FLOAT32]
        yield Row(f"{what}: file", peer, "MB", [mb], theirs, None if quick else limit)
        if half:
            noise = 10 ** (-min(each.snr.values()) / 20)
            yield Row(f"{what}: noise in the worst clip", "", "of its RMS", [noise], allowed=10 ** (-50 / 20))
        else:
            for i, (kind, away) in enumerate(each.away.items()):  # the first kind is the one that was searched on
                bound = None if i or quick else 1 - MIN_COSINE
                yield Row(f"{what}: 1 - cosine of the worst frame of {kind}", "", "", [away], allowed=bound)
        judged = not quick and (half or multiplies_int8() is True)
        for case, seconds in each.seconds.items():
            limit_of_time = allowed if judged else None
            yield Row(f"{what}: {case}", REDUCED_NAMES[FLOAT32], "s", seconds, base.seconds[case], limit_of_time)


def _judged(name: str, make: Callable[[], Candidate], reference: Path) -> Judged:
    try:
        candidate = make()
        return Judged(Reduced(name, candidate.size, **_costs(name, candidate.file, reference)), candidate.file)
    except (RuntimeError, OSError) as error:  # a graph that was written may still be one that nothing runs
        if name in OURS:
            raise
        return Judged(Reduced(name, problem=_reason(error)))


def _costs(name: str, file: Path, reference: Path) -> dict[str, dict[str, float]]:
    """What it costs; the same files cost the same, so what was found of them before is taken."""
    path, of = reference.with_name(f"{name}.judged.json"), [sha256_of(file), sha256_of(reference)]
    if path.exists() and (before := json.loads(path.read_text(encoding="utf-8")))["of"] == of:
        return dict(before["costs"])
    command = python("benchmarks.peers.judging_process", name, file, "--reference", reference)
    costs: dict[str, dict[str, float]] = json.loads(run(command).output)
    path.write_text(json.dumps({"of": of, "costs": costs}), encoding="utf-8")
    return costs


def _makers(bench: Bench, folder: Path) -> dict[str, Callable[[], Candidate]]:
    """Name -> what makes the candidate. Raises RuntimeError or OSError where it cannot be made."""
    ours: dict[str, Callable[[], Candidate]] = {
        **{name: partial(_of_bundle, bench, folder, name) for name in (FLOAT32, "float16-weights", "int8")},
        "int8-searched": partial(_searched, bench, folder, "int8-searched", ()),
        "int8-searched-half": partial(_searched, bench, folder, "int8-searched-half", ("--weights", "float16")),
    }
    peers = {name: partial(_onnxruntime, bench, folder, name) for name in ("onnxruntime-matmul", "onnxruntime-rows")}
    torchs: dict[str, Callable[[], Candidate]] = {
        "torchaudio": partial(_torchaudio, bench, folder),
        "torch-dynamic": partial(_torch_dynamic, bench),
    }
    if bench.quick:
        return {**ours, **peers, **torchs}
    others: dict[str, Callable[[], Candidate]] = {
        "onnxruntime": partial(_onnxruntime, bench, folder, "onnxruntime"),
        **{name: partial(_optimum, bench, folder, name) for name in ("optimum-int8", "optimum-int8-matmul")},
        "converter-float16": partial(_converter, bench, folder),
    }
    return {**ours, **peers, **others, **torchs}


def _of_bundle(bench: Bench, folder: Path, name: str) -> Candidate:
    """Ours as ``bundle`` writes them."""
    out = folder / "bundle"
    if "reduced bundle" not in bench.made:
        ports = ("--with", "onnx.float16-weights,onnx.int8")
        run(tool("aves-convert", "bundle", bench.checkpoint, "--out", out, "--name", "base", *ports, "--force"))
        bench.made.add("reduced bundle")
    return _file(out / ("base.onnx" if name == FLOAT32 else f"base.{name}.onnx"))


def _searched(bench: Bench, folder: Path, name: str, options: Sequence[str]) -> Candidate:
    """Ours with as many products in float32 as the bound needs; what an earlier run measured is taken up."""
    path = folder / f"{name}.onnx"
    path.unlink(missing_ok=True)
    calibrate = [each for recording in bench.recordings[::2] for each in ("--calibrate", recording)]
    asked = ("--precision", "int8", "--min-cosine", MIN_COSINE, *options, *calibrate)
    run(tool("aves-convert", "fairseq2onnx", bench.checkpoint, "--out", path, *asked, "--force"))
    return _file(path)


def _onnxruntime(bench: Bench, folder: Path, name: str) -> Candidate:
    """ONNX Runtime's own, of the ordinary export."""
    out = folder / f"{name}.onnx"
    if not out.exists():
        run(python("benchmarks.peers.reduced_peers", name, bench.graphs(["torchscript"])["torchscript"], out))
    return _file(out)


def _optimum(bench: Bench, folder: Path, name: str) -> Candidate:
    """optimum's own, of its own export."""
    out, command = folder / name, packages.optimum_int8
    if name == "optimum-int8-matmul":
        command = packages.optimum_int8_matmul
    if not out.exists():
        exported = bench.graphs(["optimum"])["optimum"].parent / "exported"
        try:
            run(command(packages.optimum(bench.work), exported, out))
        except RuntimeError:
            shutil.rmtree(out, ignore_errors=True)
            raise
    return _file(next(out.glob("*.onnx")))


def _converter(bench: Bench, folder: Path) -> Candidate:
    """onnxconverter-common's, of the ordinary export."""
    out = folder / "converter-float16.onnx"
    if not out.exists():
        graph = bench.graphs(["torchscript"])["torchscript"]
        run(packages.converter_float16(packages.converter(bench.work), graph, out))
    return _file(out)


def _torchaudio(bench: Bench, folder: Path) -> Candidate:
    return Candidate(bench.checkpoint, (folder / "bundle" / "base.torchaudio.pt").stat().st_size)


def _torch_dynamic(bench: Bench) -> Candidate:
    done = run(python("benchmarks.peers.reduced_peers", "torch-dynamic", bench.checkpoint, bench.work))
    return Candidate(bench.checkpoint, int(done.output))


def _file(path: Path) -> Candidate:
    return Candidate(path, path.stat().st_size)


def _reference(bench: Bench, folder: Path) -> Path:
    """TorchAudio's embeddings of the sounds that nothing was searched on; kept for the same files."""
    held_out = bench.recordings[1::2]
    digests = "".join(map(sha256_of, (bench.checkpoint, *held_out)))
    path = folder / f"reference-{hashlib.sha256(digests.encode()).hexdigest()[:12]}.npz"
    if not path.exists():
        audio = [each for recording in held_out for each in ("--audio", recording)]
        run(python("benchmarks.peers.judging_process", "torchaudio", bench.checkpoint, "--save", path, *audio))
    return path


def _times(case: Case, encoders: dict[str, Path]) -> dict[str, list[float]]:
    """Seconds of each round by encoder: in one process that each begins another one in, or each in its own."""
    sizes = ("--threads", case.threads, "--seconds", case.seconds, "--batch", case.batch)
    if case.apart:
        commands = {
            name: python("benchmarks.peers.encoder_process", name, file, *sizes, "--warm-up", 1)
            for name, file in encoders.items()
        }
        turns = take_turns(commands, case.rounds, warm_up=False)
        return {name: [json.loads(each.output)["seconds"][0] for each in runs] for name, runs in turns.items()}
    files = [f"{name}={file}" for name, file in encoders.items()]
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for i in range(case.processes):
        turned = files[i % len(files) :] + files[: i % len(files)]
        rounds = ("--warm-ups", case.warm_ups, "--rounds", case.rounds)
        seconds = json.loads(run(python("benchmarks.paired_process", *turned, *sizes, *rounds)).output)
        for name, each in seconds.items():
            times[name] += each
    return times


def _reason(error: Exception) -> str:
    """The last line that was written before it failed."""
    first, *lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    told = lines[-1] if lines else f"ended{first.rpartition(' ended')[2]}"
    return re.sub(r"/\S*/(?=\S*\.onnx)", "", told)[:200]  # where our files lie is nobody's business
