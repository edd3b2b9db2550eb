"""Compare a graph with TorchAudio on a folder of recordings, as somebody writes it by hand in half an hour.

    python -m benchmarks.peers.corpus_by_hand BUNDLE AUDIO --window 10 --processes 1

One thread for each process; ``multiprocessing.Pool`` where there are several. Prints how many windows were compared,
and how many are not close.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import soundfile
import torch
import torchaudio

SAMPLE_RATE = 16_000
SHORTEST = 400  # samples of a frame

_loaded: tuple[Any, Any, int] | None = None


def load(bundle: Path, window: float) -> None:
    """Load both encoders in this process."""
    global _loaded
    torch.set_num_threads(1)
    config = json.loads((bundle / "base.torchaudio.model_config.json").read_text(encoding="utf-8"))
    model = torchaudio.models.wav2vec2_model(**config, aux_num_out=None)
    model.load_state_dict(torch.load(bundle / "base.torchaudio.pt", weights_only=True))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(bundle / "base.onnx", options, providers=["CPUExecutionProvider"])
    _loaded = model.eval(), session, round(window * SAMPLE_RATE)


def compare(path: Path) -> tuple[int, int]:
    """How many windows a recording has, and in how many the graph is not close to the model."""
    assert _loaded is not None
    model, session, size = _loaded
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate == SAMPLE_RATE
    windows, other = 0, 0
    for begin in range(0, len(sound), size):
        waveform = np.ascontiguousarray(sound[begin : begin + size].mean(axis=1)[None])
        if waveform.shape[1] < SHORTEST:
            continue
        with torch.inference_mode():
            expected = model(torch.from_numpy(waveform))[0].numpy()
        found = session.run(None, {session.get_inputs()[0].name: waveform})[0]
        windows += 1
        other += not np.allclose(found, expected, rtol=1e-3, atol=1e-4)
    return windows, other


def main() -> None:
    """Compare all recordings of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("audio", type=Path)
    parser.add_argument("--window", type=float, required=True)
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    paths = sorted(given.audio.iterdir())
    if given.processes == 1:
        load(given.bundle, given.window)
        found = [compare(path) for path in paths]
    else:
        context = multiprocessing.get_context("spawn")
        with context.Pool(given.processes, load, (given.bundle, given.window)) as pool:
            found = list(pool.imap_unordered(compare, paths))
    windows, other = (sum(each) for each in zip(*found, strict=True))
    print(json.dumps({"windows": windows, "other": other}))


if __name__ == "__main__":
    main()
