"""Seconds to write our graph once all is imported: from the state dict, and from the checkpoint as the command does.

python -m benchmarks.measures.writing CHECKPOINT OUT.onnx ROUNDS
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.convert import fairseq_to_onnx
from aves_convert.conversion.request import Source
from aves_convert.graph.build import weighted_graph
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph_files.writer import save_graph
from aves_convert.weights.to_torchaudio import to_torchaudio


def main(checkpoint: Path, out: Path, rounds: int) -> None:
    converted = to_torchaudio(read_checkpoint(checkpoint))
    times: dict[str, list[float]] = {"state dict to ONNX": [], "checkpoint to ONNX": []}
    for _ in range(rounds):
        start = time.perf_counter()
        graph = weighted_graph(converted.config, converted.state_dict, OnnxOptions(), {})
        save_graph(graph.model, out, graph.arrays)
        times["state dict to ONNX"].append(time.perf_counter() - start)
        start = time.perf_counter()
        fairseq_to_onnx(Source(checkpoint), out, force=True)
        times["checkpoint to ONNX"].append(time.perf_counter() - start)
    print(json.dumps(times))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]), int(sys.argv[3]))
