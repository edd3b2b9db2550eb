"""What the clients of TorchAudio's port share: the model that its config and weights make, as its card tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from exchange import Run


def built(weights: Path) -> Any:
    """The port in evaluation mode; its config lies beside its weights."""
    from torchaudio.models import wav2vec2_model

    config = json.loads(weights.with_name(f"{weights.stem}.model_config.json").read_text())
    model = wav2vec2_model(**{"aux_num_out": None, **config})
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model.eval()


def without_weight_norm(model: Any) -> Any:
    """The same with the weight norm folded into its weight: compilers and TorchScript want no parametrization."""
    torch.nn.utils.parametrize.remove_parametrizations(model.encoder.transformer.pos_conv_embed.conv, "weight")
    return model


class Embeddings(torch.nn.Module):
    """waveform [batch, samples] -> embeddings [batch, frames, dim] alone, with no lengths."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return self.model(waveform)[0]


def runs(call: Any) -> Run:
    """What takes and gives tensors, as what takes and gives arrays."""

    def run(waveform: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return call(torch.from_numpy(waveform)).numpy()

    return run


# The shortest waveform that torch.export follows: from one frame on, torch itself takes another way through the code.
EXAMPLE = (2, 16_000)


def exported(weights: Path) -> Any:
    """torch.export's program of the port, for any batch and any length from two frames on."""
    from torch.export import Dim

    model = Embeddings(without_weight_norm(built(weights)))
    shapes = ({0: Dim("batch", min=1, max=64), 1: Dim("samples", min=720, max=1_000_000)},)
    return torch.export.export(model, (torch.zeros(EXAMPLE),), dynamic_shapes=shapes)
