"""How far from the exact answer are the original, our graph and the ordinary export? Measured clip by clip.

    python benchmarks/measures/onnx_accuracy.py measure CHECKPOINT --audio FOLDER --out results.jsonl
    python benchmarks/measures/onnx_accuracy.py table results.jsonl
    uv run --with matplotlib benchmarks/measures/onnx_accuracy.py plot results.jsonl docs/onnx-drift.svg

"Exact" is TorchAudio's model in float64, "original" the same in float32, which computes bit for bit what fairseq does.
Each recording and each reference signal is taken as it is, with a constant offset, and quieter and louder. ``measure``
goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import importlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.graph.build import write_graph
from aves_convert.graph.options import Exporter, OnnxOptions
from aves_convert.sounds.audio import read_clips
from aves_convert.sounds.clip import SAMPLE_RATE
from aves_convert.sounds.signals import reference_signals
from aves_convert.weights.model import load_model
from aves_convert.weights.to_torchaudio import TorchaudioPort, to_torchaudio

CHANGES = {
    "as recorded": (1.0, 0.0),
    "offset 0.1": (1.0, 0.1),
    "offset 0.5": (1.0, 0.5),
    "gain 1e-4": (1e-4, 0.0),
    "gain 10": (10.0, 0.0),
}
EXPORTERS: tuple[Exporter, ...] = ("graph", "torch")
LABELS = {"graph": "our graph", "torch": "ordinary export (torch.onnx.export)"}
COLOURS = {"graph": "#0072b2", "torch": "#d55e00"}

Array = NDArray[np.float32]


def clips(folder: Path) -> Iterator[tuple[str, str, Array]]:
    """(name, change, waveform [samples]) of everything that is measured, one minute of all recordings last."""
    recordings = [(Path(clip.name).stem, clip.waveform) for clip in read_clips([folder])[0]]
    signals = [(clip.name, clip.waveform) for clip in reference_signals()]
    for name, waveform in (*recordings, *signals):
        for change, (gain, offset) in CHANGES.items():
            yield name, change, waveform * np.float32(gain) + np.float32(offset)
    yield (
        "60 s of recordings",
        "as recorded",
        np.concatenate([waveform for _, waveform in recordings])[: 60 * SAMPLE_RATE],
    )


def measure(checkpoint: Path, folder: Path, out: Path) -> None:
    """Append one line of JSON per clip to ``out``: RMS errors of original and exports, relative to the output's RMS."""
    converted = to_torchaudio(read_checkpoint(checkpoint))
    original = load_model(converted.config, converted.state_dict)
    exact = load_model(converted.config, converted.state_dict).double()
    sessions = {exporter: _session(converted, exporter) for exporter in EXPORTERS}
    done = {(row["clip"], row["change"]) for row in _rows([out])} if out.exists() else set()
    with out.open("a", encoding="utf-8") as stream:
        for name, change, waveform in clips(folder):
            if (name, change) in done:
                continue
            answer = _embeddings(exact, torch.from_numpy(waveform)[None].double())
            scale = _rms(answer)
            row: dict[str, Any] = {"model": checkpoint.stem, "clip": name, "change": change, "rms": scale}
            row["original"] = _rms(_embeddings(original, torch.from_numpy(waveform)[None]) - answer) / scale
            for exporter, session in sessions.items():
                found = session.run(["embeddings"], {"waveform": waveform[None]})[0]
                row[exporter] = _rms(found - answer) / scale
                row[f"{exporter} close"] = bool(np.allclose(found, answer, rtol=1e-5, atol=2e-5 * scale))
            print(json.dumps(row), file=stream, flush=True)


def table(results: Sequence[Path]) -> None:
    """Print the error ratios: for each model and exporter, by change and over all."""
    rows = list(_rows(results))
    for model in dict.fromkeys(row["model"] for row in rows):
        for exporter in EXPORTERS:
            mine = [row for row in rows if row["model"] == model]
            for change in (*CHANGES, ""):
                some = [row for row in mine if change in ("", row["change"])]
                ratios = [row[exporter] / row["original"] for row in some]
                far = sum(not row[f"{exporter} close"] for row in some)
                print(
                    f"{model:20} {exporter:6} {change or 'all':12} clips {len(some):3}  error ratio: median "
                    f"{np.median(ratios):.2f}, largest {max(ratios):.2f}; beyond the tolerance: {far}"
                )


def plot(results: Sequence[Path], svg: Path) -> None:
    """Draw every recording's error ratio, as recorded and with an offset, ordinary export beside ours."""
    mpl: Any = importlib.import_module("matplotlib")  # not among the project's requirements
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "aves"  # the same file from the same results
    plt: Any = importlib.import_module("matplotlib.pyplot")

    rows = list(_rows(results))
    recorded = list(dict.fromkeys(row["clip"] for row in rows if row["clip"][:1].isdigit()))
    changes = ("as recorded", "offset 0.1", "offset 0.5")
    models = list(dict.fromkeys(row["model"] for row in rows))
    figure, axes = plt.subplots(len(models), len(changes), figsize=(11, 4.2 * len(models)), sharey=True, squeeze=False)
    for (model, change), axis in zip(((m, c) for m in models for c in changes), axes.flat, strict=True):
        for row in (r for r in rows if (r["model"], r["change"]) == (model, change) and r["clip"] in recorded):
            y = recorded.index(row["clip"])
            ratios = {exporter: row[exporter] / row["original"] for exporter in EXPORTERS}
            axis.plot(list(ratios.values()), [y, y], color="0.8", linewidth=2, zorder=1)
            for exporter, ratio in ratios.items():
                axis.scatter(ratio, y, color=COLOURS[exporter], label=LABELS[exporter] if y == 0 else None, zorder=2)
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set(xscale="log", xlim=(0.02, 50), title=change, xlabel="error / the original's own error")
        axis.set_yticks(range(len(recorded)), [name.replace("_", " ") for name in recorded])
        if axis in axes[:, 0]:
            axis.set_ylabel(model, fontweight="bold")
        axis.invert_yaxis() if axis is axes.flat[0] else None
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="upper center", ncols=2, frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.savefig(svg, metadata={"Date": None})


def _session(converted: TorchaudioPort, exporter: Exporter) -> onnxruntime.InferenceSession:
    model = write_graph(converted.config, converted.state_dict, OnnxOptions(exporter=exporter), {})
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, Path(folder) / "model.onnx")
        return onnxruntime.InferenceSession(Path(folder) / "model.onnx", providers=["CPUExecutionProvider"])


@torch.inference_mode()
def _embeddings(model: Any, waveform: torch.Tensor) -> NDArray[np.float64]:
    """What fairseq's ``extract_features`` returns: TorchAudio's encoder without the CTC head."""
    features, _ = model.feature_extractor(waveform, None)
    embeddings: NDArray[np.float64] = model.encoder(features).double().numpy()
    return embeddings


def _rms(array: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(array))))


def _rows(results: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for path in results:
        yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


def main() -> None:
    """Parse the arguments and call one of the three commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("checkpoint", type=Path)
    measuring.add_argument("--audio", type=Path, required=True)
    measuring.add_argument("--out", type=Path, required=True)
    for name in ("table", "plot"):
        commands.add_parser(name).add_argument("results", type=Path, nargs="+")
    commands.choices["plot"].add_argument("svg", type=Path)
    given = parser.parse_args()
    if given.command == "measure":
        measure(given.checkpoint, given.audio, given.out)
    elif given.command == "table":
        table(given.results)
    else:
        plot(given.results, given.svg)


if __name__ == "__main__":
    main()
