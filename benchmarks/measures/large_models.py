"""The large models of fairseq at full size: is each converted exactly, there and back, and in how much memory?

    python -m benchmarks.measures.large_models [hubert_large] [hubert_xlarge] [birdaves] [--folder DIR] [--out F.jsonl]

fairseq builds each model, answers on one second of noise, and its file goes through our commands. Every step has a
process of its own, so its peak memory is its own; this one imports nothing large, because a child's peak starts at what
its parent has. Needs 16 GiB of memory and 20 GB of disk for ``hubert_xlarge``, whose ONNX weights lie beside the graph.

Measured on 2 cores, Python 3.11, torch 2.15; differences from fairseq over the largest value, peaks in GiB:

    model          weights  checkpoint  TorchAudio  ONNX     way back       fairseq2torchaudio     fairseq2onnx
    hubert_large   1.18     3.54        0           1.5e-06  bit-identical  1.90 of 2.41 allowed   5.55
    birdaves       1.18     3.54        0           9.6e-07  bit-identical  1.90 of 2.41 allowed   5.55
    hubert_xlarge  3.59     3.59        0           1.8e-06  bit-identical  4.30 of 6.04 allowed   8.29
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

LARGE = {
    "encoder_layers": 24,
    "encoder_embed_dim": 1024,
    "encoder_ffn_embed_dim": 4096,
    "encoder_attention_heads": 16,
    "final_dim": 768,
}
XLARGE = {
    "encoder_layers": 48,
    "encoder_embed_dim": 1280,
    "encoder_ffn_embed_dim": 5120,
    "encoder_attention_heads": 16,
    "final_dim": 1024,
}
CONVOLUTIONS = "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2"
COMMON = {"conv_feature_layers": CONVOLUTIONS, "conv_bias": False, "conv_pos": 128, "conv_pos_groups": 16}
PRE_NORM = {"extractor_mode": "layer_norm", "layer_norm_first": True, "untie_final_proj": True}
LABELS = 504  # 500 clusters and fairseq's own four symbols
ALLOWED = 1e-5  # largest difference from fairseq's answer, over the answer's largest value
GIB = 2**30


@dataclass(frozen=True)
class Case:
    """A model's entries in fairseq's config; with optimizer state its file is three times as large."""

    model: dict[str, Any] = field(repr=False)
    normalize: bool
    optimizer_state: bool = True


# fairseq's examples/hubert/config/pretrain/hubert_{large,xlarge}_librivox.yaml; BirdAVES is of the base model's kind.
CASES = {
    "hubert_large": Case({**COMMON, **LARGE, **PRE_NORM}, normalize=True),
    "birdaves": Case({**COMMON, **LARGE, "extractor_mode": "default"}, normalize=False),
    "hubert_xlarge": Case({**COMMON, **XLARGE, **PRE_NORM}, normalize=True, optimizer_state=False),
}


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Build, convert and compare one model; its files are removed with ``folder`` by the caller."""
    original, answer = folder / "x.pt", folder / "fairseq.npy"
    weights, config = folder / "x.torchaudio.pt", folder / "x.torchaudio.model_config.json"
    graph, back = folder / "x.onnx", folder / "back.pt"
    row: dict[str, Any] = {"model": name, "build": alone(build, CASES[name], original, answer)}
    row |= {"checkpoint_gib": gib(original), "import_torch": peak_of("-c", "import torch")}

    row["fairseq2torchaudio"] = convert("fairseq2torchaudio", original, "--out", folder)
    row["torchaudio"] = alone(run_torchaudio, weights, config, answer, CASES[name])
    limit = 1.5 * row["build"]["weights_gib"] + row["import_torch"]["gib"]
    row["memory"] = {"limit_gib": limit, "holds": row["fairseq2torchaudio"]["gib"] < limit}

    row["torchaudio2fairseq"] = convert(
        "torchaudio2fairseq", weights, "--config", config, "--like", original, "--out", back
    )
    row["returned"] = alone(compare_bits, original, back)
    for path in (back, weights):
        path.unlink()

    row["fairseq2onnx"] = convert("fairseq2onnx", original, "--out", graph)
    row["onnx_files_gib"] = {path.name: gib(path) for path in sorted(folder.glob("x.onnx*"))}
    original.unlink()
    row["onnx"] = alone(run_onnx, graph, answer, CASES[name])
    return row


def build(case: Case, path: Path, answer: Path) -> dict[str, Any]:
    """fairseq's own HubertModel, its weights away from where fairseq starts them, as a file; and what it answers."""
    import numpy as np
    import torch
    from tests.support.fairseq_models import Variant
    from tests.support.fairseq_models import build as build_with_fairseq

    variant = Variant(model=case.model, task={"normalize": case.normalize}, labels=(LABELS,))
    original = build_with_fairseq(variant, path.parent)
    weights = list(original.state["model"].values())
    np.save(answer, original.embeddings(clip(case)).numpy())
    if case.optimizer_state:  # of Adam
        moments = {
            i: {"step": 3, "exp_avg": torch.zeros_like(tensor), "exp_avg_sq": torch.zeros_like(tensor)}
            for i, tensor in enumerate(weights)
        }
        original.state["last_optimizer_state"] = {"state": moments, "param_groups": []}
    torch.save(original.state, path)
    return {
        "parameters": sum(tensor.numel() for tensor in weights),
        "weights_gib": sum(tensor.nbytes for tensor in weights) / GIB,
    }


def clip(case: Case) -> torch.Tensor:
    """One second of noise [1, samples], as the network takes it."""
    import torch

    noise = 0.1 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.layer_norm(noise, noise.shape) if case.normalize else noise


def run_torchaudio(weights: Path, config: Path, answer: Path, case: Case) -> dict[str, Any]:
    """As a user loads it."""
    import torch

    from aves_convert.weights.model import import_torchaudio

    with torch.device("meta"):
        model = import_torchaudio().models.wav2vec2_model(**json.loads(config.read_text()), aux_num_out=None).eval()
    model.load_state_dict(torch.load(weights, weights_only=True, mmap=True), assign=True)
    with torch.inference_mode():
        return difference(model(clip(case))[0].numpy(), answer)


def run_onnx(graph: Path, answer: Path, case: Case) -> dict[str, Any]:
    """As a user runs it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    return difference(session.run(["embeddings"], {"waveform": clip(case).numpy()})[0], answer)


def difference(given: NDArray[np.float32], answer: Path) -> dict[str, Any]:
    """The largest difference from fairseq's answer over the answer's largest value."""
    import numpy as np

    expected = np.load(answer)
    if given.shape != expected.shape:
        raise ValueError(f"{list(given.shape)} where fairseq gives {list(expected.shape)}")
    scale = float(np.abs(expected).max())
    return {"shape": list(given.shape), "scale": scale, "difference": float(np.abs(given - expected).max()) / scale}


def compare_bits(original: Path, returned: Path) -> dict[str, Any]:
    """Whether every tensor of the way back has the original's name, place, type, shape and bits."""
    from aves_convert.checkpoint.reading import read_checkpoint

    ours, theirs = read_checkpoint(returned).tensors, read_checkpoint(original).tensors
    same = list(ours) == list(theirs) and all(
        (ours[name].dtype, ours[name].shape) == (tensor.dtype, tensor.shape)
        and ours[name].read().tobytes() == tensor.read().tobytes()
        for name, tensor in theirs.items()
    )
    return {"tensors": len(theirs), "bit_identical": same}


def alone(step: Callable[..., dict[str, Any]], *arguments: object) -> dict[str, Any]:
    """A step's result, from a process of its own, with its seconds and its peak memory."""
    start = time.perf_counter()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        result = pool.submit(_with_peak, step, *arguments).result()
    return {**result, "seconds": time.perf_counter() - start}


def _with_peak(step: Callable[..., dict[str, Any]], *arguments: object) -> dict[str, Any]:
    result = step(*arguments)
    return {**result, "gib": _gib_of(resource.getrusage(resource.RUSAGE_SELF))}


def convert(*arguments: object) -> dict[str, Any]:
    """Run ``aves-convert``."""
    return peak_of("-c", "from aves_convert.cli import main; main()", *map(str, arguments))


def peak_of(*arguments: str) -> dict[str, Any]:
    """Run Python and tell its seconds and its peak memory. Raises RuntimeError where it fails."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with status {child.returncode}")
    return {"seconds": time.perf_counter() - start, "gib": _gib_of(usage)}


def _gib_of(usage: resource.struct_rusage) -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit / GIB


def gib(path: Path) -> float:
    """A file's size."""
    return path.stat().st_size / GIB


def problems(row: dict[str, Any]) -> list[str]:
    """What a model's row shows that must not be."""
    found = [
        f"{name} differs from fairseq by {row[name]['difference']:.1e} of the largest value"
        for name in ("torchaudio", "onnx")
        if not row[name]["difference"] <= ALLOWED  # NaN neither
    ]
    if not row["returned"]["bit_identical"]:
        found.append("the way back changed a tensor")
    if not row["memory"]["holds"]:
        found.append(f"the conversion took more than {row['memory']['limit_gib']:.2f} GiB")
    return found


def told(row: dict[str, Any]) -> str:
    """A model's row for people."""
    steps = ("build", "fairseq2torchaudio", "torchaudio2fairseq", "fairseq2onnx", "torchaudio", "onnx")
    return "\n".join(
        [
            f"{row['model']}: {row['build']['parameters'] / 1e6:.0f} M parameters, "
            f"{row['build']['weights_gib']:.2f} GiB of weights, "
            f"checkpoint {row['checkpoint_gib']:.2f} GiB",
            f"  TorchAudio - fairseq  {row['torchaudio']['difference']:.1e} of the largest value",
            f"  ONNX - fairseq        {row['onnx']['difference']:.1e} of the largest value",
            f"  the way back          {row['returned']['tensors']} tensors, "
            + ("bit-identical" if row["returned"]["bit_identical"] else "CHANGED"),
            f"  fairseq2torchaudio    peak {row['fairseq2torchaudio']['gib']:.2f} GiB; 1.5 x weights + import torch is "
            f"{row['memory']['limit_gib']:.2f} GiB",
            *(f"  {step:<21} {row[step]['seconds']:.1f} s, peak {row[step]['gib']:.2f} GiB" for step in steps),
            *(f"  NOT MET: {problem}" for problem in problems(row)),
        ]
    )


def main() -> None:
    """Measure the models asked for; exit status 1 where one is not what it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--out", type=Path, help="append a line of JSON for each model")
    arguments = parser.parse_args()
    unknown = set(arguments.models) - set(CASES)
    if unknown:
        parser.error(f"unknown model {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    failed = False
    for name in arguments.models or CASES:
        with tempfile.TemporaryDirectory(prefix="aves-large-", dir=arguments.folder) as folder:
            row = measure(name, Path(folder))
        print(told(row), flush=True)
        failed |= bool(problems(row))
        if arguments.out is not None:
            with arguments.out.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
