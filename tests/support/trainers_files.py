"""Checkpoints as fairseq's trainer saves them, without fairseq: its classes are stood for by their names."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.reading import read_checkpoint

MODEL = {"mask_emb": torch.arange(3.0), "encoder.layers.0.self_attn.k_proj.weight": torch.ones(2, 2)}
CFG = {
    "model": {"_name": "hubert", "encoder_layers": 2, "label_rate": 50.0, "dropout": 0.1, "conv_bias": False},
    "task": {"_name": "hubert_pretraining", "labels": ["km"], "normalize": False, "sample_rate": 16_000},
}


class Plain:
    """Stands for a class of fairseq or omegaconf: pickled as an ordinary object, by its name."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def fake(monkeypatch: pytest.MonkeyPatch, qualified: str, cls: Any = None) -> Any:
    """A class that pickle writes under the name ``qualified``; its package need not be installed."""
    module, _, attribute = qualified.rpartition(".")
    cls = cls or type(attribute, (Plain,), {"__module__": module})
    parts = module.split(".")
    for package in (".".join(parts[: count + 1]) for count in range(len(parts))):
        if package not in sys.modules:
            monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    monkeypatch.setattr(sys.modules[module], attribute, cls, raising=False)
    return cls


def read(tmp_path: Path, contents: object, **options: Any) -> Checkpoint:
    """Save with torch what a trainer would, and read it."""
    path = tmp_path / "checkpoint.pt"
    torch.save(contents, path, **options)
    return read_checkpoint(path)
