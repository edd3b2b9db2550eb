"""Does the main job spend its time in forward passes, and does its memory stay as it is with more clips?"""

from __future__ import annotations

import json
import random
import wave
from pathlib import Path
from typing import Any

from tests.benchmarks.bench import SAMPLE_RATE, Bench
from tests.benchmarks.processes import Run, run, tool
from tests.benchmarks.results import Curve, Part, Row

PASSES = ("fairseq", "torchaudio", "onnx", "exact")
CLIPS = (1, 10, 100, 1000)
CLIP_SECONDS = 0.5
ROUNDS = 3


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
    """Time and peak memory of verifying a bundle on more and more clips of half a second."""
    counts = CLIPS[:2] if bench.quick else CLIPS
    runs = {count: _verify_clips(bench, count) for count in counts}
    sizes = [float(count) for count in counts]
    few, many = counts[0], counts[-1]
    return Part(
        rows=[
            Row(
                f"verify {count} clips, peak memory",
                f"{few} clip",
                "MiB",
                [runs[count].peak_mib],
                [runs[few].peak_mib],
                1.05 if not bench.quick else None,
            )
            for count in (many, *counts[1:-1])
        ],
        curves=[
            Curve("verifying", "aves-verify", "clips", "s", sizes, [each.seconds for each in runs.values()]),
            Curve("verifying", "aves-verify", "clips", "MiB", sizes, [each.peak_mib for each in runs.values()]),
        ],
    )


def _verify_clips(bench: Bench, count: int) -> Run:
    folder = bench.work / "clips" / str(count)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        _write_noise(folder / f"{i:04}.wav", i)
    return run(tool("aves-verify", "--bundle", bench.bundle, "--fairseq", bench.checkpoint, "--audio", folder))


def _write_noise(path: Path, seed: int) -> None:
    samples = round(CLIP_SECONDS * SAMPLE_RATE)
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(SAMPLE_RATE)
        stream.writeframes(random.Random(seed).randbytes(2 * samples))  # noqa: S311 (noise, no secret)
