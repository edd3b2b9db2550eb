"""Damage to the TorchAudio weights of a bundle."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from tests.support.tensors import arrays

from aves_artifacts.bundle.bundle import Bundle
from aves_convert.torch_files.writer import write_torch_file

Weights = dict[str, torch.Tensor]
LAYER = "encoder.transformer.layers.{}."


def rewrite(bundle: Bundle, change: Callable[[Weights], None]) -> None:
    """Change the weights in place; the manifest stays as it is."""
    path = bundle.path("torchaudio")
    weights = torch.load(path, weights_only=True)
    change(weights)
    write_torch_file(arrays(weights), path)


def compress(path: Path) -> None:
    """Write a file of torch.save anew with its entries compressed."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def scale(name: str) -> Callable[[Weights], None]:
    """One tensor 1 % larger."""

    def change(weights: Weights) -> None:
        weights[name] = weights[name] * 1.01

    return change


def exchange_layers(weights: Weights) -> None:
    """The first layer's weights in the second, and the other way round."""
    for name in [n for n in weights if n.startswith(LAYER.format(0))]:
        other = name.replace("layers.0.", "layers.1.")
        weights[name], weights[other] = weights[other], weights[name]
