"""Which operators make the output's error? With all of an encoder in float64 but one kind, it is what that one adds.

    python -m benchmarks.measures.error_shares CHECKPOINT RECORDING

Prints each kind's share of the squared error, by torch's float32, on the first five seconds. The table of
docs/onnx-drift.md is of a base encoder and the recording of a robin.
"""

from __future__ import annotations

import argparse
import copy
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.sounds.audio import read_clip
from aves_convert.sounds.clip import SAMPLE_RATE
from aves_convert.weights.model import load_model
from aves_convert.weights.to_torchaudio import to_torchaudio

SECONDS = 5
TRANSFORMER = r"encoder\.transformer\.layers\.\d+\."

# What a module belongs to, by its name; the first pattern that is found counts.
KINDS = {
    "positional convolution": r"pos_conv_embed$",
    "feed-forward products": TRANSFORMER + r"feed_forward\.",
    "attention's output products": TRANSFORMER + r"attention\.out_proj$",
    "attention's other products": TRANSFORMER + r"attention\.",
    "layer norms": TRANSFORMER + r"(final_)?layer_norm$",
    "norms outside the layers": r"encoder\..*layer_norm$",
    "projection": r"projection\.projection$",
    "last two convolutions": r"conv_layers\.[56]\.",
    "convolutions before them": r"conv_layers\.[1-4]\.",
    "first convolution and its norm": r"conv_layers\.0\.",
}


class Rounded(nn.Module):
    """A module that computes in float64, or where its kind is among ``rounded`` in float32."""

    rounded: Collection[str] = ()

    def __init__(self, exact: nn.Module, kind: str) -> None:
        super().__init__()
        self.exact, self.single, self.kind = exact, copy.deepcopy(exact).float(), kind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[...] float64 in and out."""
        if self.kind in Rounded.rounded:
            return self.single(x.float()).double()  # type: ignore[no-any-return]
        return self.exact(x)  # type: ignore[no-any-return]


def shares(checkpoint: Path, recording: Path) -> dict[str, float]:
    """Each kind's part of the squared error of all of them."""
    converted = to_torchaudio(read_checkpoint(checkpoint))
    model: Any = load_model(converted.config, converted.state_dict).double()
    for name in [name for name, _ in model.named_modules() if _kind(name)]:
        parent = model.get_submodule(name.rpartition(".")[0])
        module = model.get_submodule(name)
        if not isinstance(parent, Rounded) and _whole(module):
            setattr(parent, name.rpartition(".")[2], Rounded(module, _kind(name)))
    waveform = torch.from_numpy(read_clip(recording).waveform[: SECONDS * SAMPLE_RATE].copy())[None].double()
    answer = _embeddings(model, waveform, ())
    errors = {kind: np.square(_embeddings(model, waveform, {kind}) - answer).mean() for kind in KINDS}
    every = np.square(_embeddings(model, waveform, KINDS) - answer).mean()
    return {kind: float(error / every) for kind, error in errors.items()}


def _kind(name: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, name)), "")


def _whole(module: nn.Module) -> bool:
    """Is it an operator with weights of its own, and not a part or a container of one?"""
    return isinstance(module, nn.Linear | nn.Conv1d | nn.LayerNorm | nn.GroupNorm) or hasattr(module, "num_remove")


@torch.inference_mode()
def _embeddings(model: Any, waveform: torch.Tensor, rounded: Collection[str]) -> np.ndarray:
    Rounded.rounded = rounded
    return model(waveform)[0].numpy()  # type: ignore[no-any-return]


def main() -> None:
    """Parse the arguments and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("recording", type=Path)
    given = parser.parse_args()
    for kind, share in shares(given.checkpoint, given.recording).items():
        print(f"{kind:32} {share:6.1%}")


if __name__ == "__main__":
    main()
