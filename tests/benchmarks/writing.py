"""Seconds to write our graph once all is imported: from the state dict, and from the checkpoint as the command does.

python -m tests.benchmarks.writing CHECKPOINT OUT.onnx ROUNDS
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from aves_convert.fairseq_checkpoint import read_checkpoint
from aves_convert.onnx_options import OnnxOptions
from aves_convert.onnx_port import build_onnx
from aves_convert.onnx_writer import save_graph
from aves_convert.ports import fairseq_to_onnx
from aves_convert.torchaudio_port import port


def main(checkpoint: Path, out: Path, rounds: int) -> None:
    converted = port(read_checkpoint(checkpoint))
    times: dict[str, list[float]] = {"state dict to ONNX": [], "checkpoint to ONNX": []}
    for _ in range(rounds):
        start = time.perf_counter()
        save_graph(build_onnx(converted.config, converted.state_dict, OnnxOptions(), {}), out)
        times["state dict to ONNX"].append(time.perf_counter() - start)
        start = time.perf_counter()
        fairseq_to_onnx(checkpoint, out, OnnxOptions(), force=True)
        times["checkpoint to ONNX"].append(time.perf_counter() - start)
    print(json.dumps(times))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]), int(sys.argv[3]))
