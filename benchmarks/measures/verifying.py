"""Does the main job spend its time in forward passes, and how does its memory grow with clips and their length?"""

from __future__ import annotations

import json
import random
import sys
import wave
from pathlib import Path
from typing import Any

from benchmarks.bench import SAMPLE_RATE, Bench
from benchmarks.processes import Run, run, tool
from benchmarks.report.results import Curve, Part, Row

PASSES = ("fairseq", "torchaudio", "onnx", "exact")
CLIPS = (1, 10, 100, 1000)
CLIP_SECONDS = 0.5
LENGTHS = (10, 30, 60, 120)  # seconds
ROUNDS = 3
_TOLD = "a short clip's and what is told before"


def verifying(bench: Bench) -> Part:
    """``aves-verify --all-configs --stand-in``: the report's total against the forward passes that it tells of."""
    report = bench.work / "report.json"
    command = tool("aves-verify", "--all-configs", "--stand-in", "--json", report)
    if bench.quick:  # the same of the tiny checkpoint
        command = tool("aves-verify", "--bundle", bench.bundle, "--fairseq", bench.checkpoint, "--json", report)
    totals, passes, runs = [], [], []
    for _ in range(1 if bench.quick else ROUNDS):
        runs.append(run(command))
        found = json.loads(report.read_text(encoding="utf-8"))
        totals.append(found["seconds"]["total"])
        passes.append(_forward_seconds(found))
    seconds = [each.seconds for each in runs]
    return Part(
        rows=[
            Row("verify all configurations", "its forward passes", "s", totals, passes, 1.35),
            Row("verify all configurations, from start to end", "its forward passes", "s", seconds, passes),
            Row("verify all configurations, peak memory", "", "MiB", [each.peak_mib for each in runs]),
        ]
    )


def _forward_seconds(report: dict[str, Any]) -> float:
    """Of every pass that is run, float64's too."""
    return sum(config["seconds"].get(name, 0) for config in report["configs"] for name in PASSES)


def scale_verifying(bench: Bench) -> Part:
    """Verifying a bundle on more and more clips of half a second, and on two that are longer and longer.

    Memory may not grow with the number, nor beyond what the verifier says of a clip's length before it runs one.
    """
    counts, lengths = (CLIPS[:2], LENGTHS[:2]) if bench.quick else (CLIPS, LENGTHS)
    runs = {count: _verify_clips(bench, count, CLIP_SECONDS) for count in counts}
    long = {seconds: _verify_clips(bench, 2, seconds) for seconds in lengths}
    one, *_, many = runs.values()
    rows = [Row(f"verify {counts[-1]} clips, peak memory", "1 clip", "MiB", [many.peak_mib], [one.peak_mib], 1.05)]
    for seconds, each in long.items():
        told = one.peak_mib + _told_mib(bench, seconds)
        rows.append(Row(f"verify 2 clips of {seconds} s, peak memory", _TOLD, "MiB", [each.peak_mib], [told], 1.0))
    curves = [*_curves("verifying", "clips", runs), *_curves("verifying long clips", "s of audio, twice", long)]
    return Part(rows=rows, curves=curves)


def _curves(what: str, size: str, runs: dict[int, Run]) -> list[Curve]:
    sizes = [float(each) for each in runs]
    return [
        Curve(what, "aves-verify", size, "s", sizes, [each.seconds for each in runs.values()]),
        Curve(what, "aves-verify", size, "MiB", sizes, [each.peak_mib for each in runs.values()]),
    ]


def _told_mib(bench: Bench, seconds: int) -> float:
    """What the verifier says that a clip takes; asked of a process, because this one has to stay small."""
    program = (
        "import sys; from pathlib import Path; from aves_artifacts.encoder import EncoderConfig; "
        "from aves_verify.sounds.memory import needed; "
        "print(needed(EncoderConfig.read(Path(sys.argv[1])), int(sys.argv[2])))"
    )
    config = bench.bundle / "base.torchaudio.model_config.json"
    return int(run([sys.executable, "-c", program, config, str(seconds * SAMPLE_RATE)]).output) / 2**20


def _verify_clips(bench: Bench, count: int, seconds: float) -> Run:
    folder = bench.work / "clips" / f"{count}x{seconds:g}"
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        _write_noise(folder / f"{i:04}.wav", seconds, i)
    return run(tool("aves-verify", "--bundle", bench.bundle, "--fairseq", bench.checkpoint, "--audio", folder))


def _write_noise(path: Path, seconds: float, seed: int) -> None:
    samples = round(seconds * SAMPLE_RATE)
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(SAMPLE_RATE)
        stream.writeframes(random.Random(seed).randbytes(2 * samples))  # noqa: S311 (noise, no secret)
