"""How fast are our graph and its exports by others, how much memory do they take, how long does ours take to write?

    python -m tests.benchmarks.onnx_speed CHECKPOINT --work FOLDER --out results.json
    python -m tests.benchmarks.onnx_speed --quick

The exported files are kept in ``--work``. The models take turns, in one order and then the other, so that whatever
slows the machine slows all of them; a ratio is the median over the rounds of our time by the other's in that round.
``--quick`` only shows that everything runs: a tiny model, one second, without optimum. Linux, for the memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tests.benchmarks.onnx_peers import EXPORTERS, LABELS, make_files

from aves_convert.fairseq_checkpoint import read_checkpoint
from aves_convert.onnx_graph import save_graph
from aves_convert.onnx_options import OnnxOptions
from aves_convert.onnx_port import build_onnx
from aves_convert.ports import fairseq_to_onnx
from aves_convert.stand_in import write_stand_in
from aves_convert.torchaudio_port import port

SAMPLE_RATE = 16_000
OURS = ("graph", "fused")
WRITES = 5

Seconds = dict[str, list[float]]  # exporter -> time of each round


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    exporters: tuple[str, ...]
    rounds: Mapping[int, int]  # seconds of audio -> rounds
    memory: tuple[int, ...]  # seconds of audio
    threads: tuple[int, ...] = (1, 2)


FULL = Plan(tuple(EXPORTERS), {1: 15, 10: 9, 60: 5}, (30, 120))
QUICK = Plan(tuple(name for name in EXPORTERS if name != "optimum"), {1: 2}, (1,))


def measure(checkpoint: Path, work: Path, plan: Plan) -> dict[str, Any]:
    """Everything of the plan; seconds, ratios and MiB."""
    files = make_files(checkpoint, work, plan.exporters)
    speed = []
    for threads in plan.threads:
        sessions = {name: _session(path, threads) for name, path in files.items()}
        for seconds, rounds in plan.rounds.items():
            times = _take_turns(sessions, _clip(seconds), rounds)
            speed.append({"threads": threads, "seconds": seconds, "times": times, "ratios": _ratios(times)})
            _show_speed(speed[-1])
    memory = []
    for seconds in plan.memory:
        peaks = {name: _peak_memory(path, seconds) for name, path in files.items()}
        memory.append({"seconds": seconds, "peaks": peaks})
        _show_memory(memory[-1])
    writing = _write_times(checkpoint)
    for what, each in writing.items():
        print(f"{what}: best {min(each):.2f} s, median {statistics.median(each):.2f} s of {len(each)}")
    return {
        "checkpoint": checkpoint.name,
        "onnxruntime": onnxruntime.__version__,
        "load average at the end": os.getloadavg(),
        "speed": speed,
        "memory in MiB": memory,
        "writing": writing,
    }


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # A session's threads wait busily for its next run, which here would slow the one whose turn it is.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _clip(seconds: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(0).standard_normal((1, seconds * SAMPLE_RATE))
    return (0.1 * noise).astype(np.float32)


def _take_turns(
    sessions: Mapping[str, onnxruntime.InferenceSession], waveform: NDArray[np.float32], rounds: int
) -> Seconds:
    """Each model's times; every other round goes backwards. All must give the same, or they are not compared at all."""
    given = {name: {session.get_inputs()[0].name: waveform} for name, session in sessions.items()}
    outputs = {name: session.run(None, given[name])[0] for name, session in sessions.items()}  # and warm up
    for name, output in outputs.items():
        np.testing.assert_allclose(output, outputs["graph"], atol=1e-3, err_msg=name)
    times: Seconds = {name: [] for name in sessions}
    for i in range(rounds):
        for name in list(sessions)[:: (-1) ** i]:
            start = time.perf_counter()
            sessions[name].run(None, given[name])
            times[name].append(time.perf_counter() - start)
    return times


def _ratios(times: Seconds) -> dict[str, dict[str, float]]:
    """Ours by theirs, median over the rounds."""
    return {
        mine: {
            other: statistics.median(a / b for a, b in zip(times[mine], times[other], strict=True))
            for other in times
            if other not in OURS
        }
        for mine in OURS
    }


_RUN_ONCE = """
import sys
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
options.intra_op_num_threads = 2
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
waveform = (0.1 * np.random.default_rng(0).standard_normal((1, int(sys.argv[2])))).astype(np.float32)
session.run(None, {session.get_inputs()[0].name: waveform})
print(open("/proc/self/status").read())
"""


def _peak_memory(path: Path, seconds: int) -> int:
    """MiB of a fresh process that runs the model once.

    VmHWM and not getrusage's ru_maxrss, which for a child begins with what its parent holds.
    """
    command = [sys.executable, "-c", _RUN_ONCE, str(path), str(seconds * SAMPLE_RATE)]
    status = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak) // 1024


def _write_times(checkpoint: Path) -> dict[str, list[float]]:
    """Seconds to write our graph, each time anew: from the state dict, and from the checkpoint as the command does."""
    converted = port(read_checkpoint(checkpoint))
    times: dict[str, list[float]] = {"state dict to file": [], "checkpoint to file": []}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model.onnx"
        for _ in range(WRITES):
            start = time.perf_counter()
            save_graph(build_onnx(converted.config, converted.state_dict, OnnxOptions(), {}), out)
            times["state dict to file"].append(time.perf_counter() - start)
            start = time.perf_counter()
            fairseq_to_onnx(checkpoint, out, OnnxOptions(), force=True)
            times["checkpoint to file"].append(time.perf_counter() - start)
    return times


def _show_speed(row: Mapping[str, Any]) -> None:
    print(f"{row['seconds']} s of audio, {row['threads']} threads, {len(row['times']['graph'])} rounds")
    for name, times in row["times"].items():
        ratios = "".join(
            f"   ours / this {row['ratios'][mine][name]:.3f} ({mine})" for mine in OURS if name not in OURS
        )
        print(f"  {LABELS[name]:28} median {statistics.median(times):8.3f} s{ratios}", flush=True)


def _show_memory(row: Mapping[str, Any]) -> None:
    print(f"{row['seconds']} s of audio, peak memory of the process")
    for name, peak in row["peaks"].items():
        print(f"  {LABELS[name]:28} {peak:6} MiB   {peak / row['peaks']['torchscript']:.2f} x the ordinary", flush=True)


def main() -> None:
    """Parse the arguments, measure, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, nargs="?")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if not given.quick and given.checkpoint is None:
        parser.error("give a checkpoint, or --quick")
    with tempfile.TemporaryDirectory(prefix="onnx-speed-") as temporary:
        checkpoint = given.checkpoint or Path(temporary) / "bio.pt"
        if given.checkpoint is None:
            write_stand_in("bio", checkpoint, geometry="tiny")
        results = measure(checkpoint, given.work or Path(temporary), QUICK if given.quick else FULL)
    if given.out is not None:
        given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
