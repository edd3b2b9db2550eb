"""A tiny encoder whose products differ in how much noise eight bits make of them, and a search on it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from tests.support.tiny_encoders import tiny, weights

from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.options import OnnxOptions
from aves_convert.reduction.bounds import Bounds, Search
from aves_convert.reduction.search import searched

CONVOLUTIONS = ((16, 10, 5), (16, 4, 4), (12, 4, 4), (16, 4, 4))
BOUNDS = Bounds(38)  # dB; with nothing wide it is 36
INT8 = OnnxOptions(precision="int8")


def encoder(variant: str = "base", seed: int = 0) -> tuple[EncoderConfig, dict[str, np.ndarray]]:
    config = tiny(variant)
    if variant in ("base", "large"):  # with as many frames in a second as encoders have: a search runs many graphs
        config = dataclasses.replace(config, extractor_conv_layer_config=CONVOLUTIONS)
    return config, {name: tensor.numpy() for name, tensor in weights(config, seed).items()}


def found(record: Path | None = None, bounds: Bounds = BOUNDS, **more: Any) -> OnnxOptions:
    """What a search on the reference signals, or on ``calibrate``, comes to."""
    asked = Search(
        bounds, **{name: more.pop(name) for name in ("calibrate", "explain", "tell", "show") if name in more}
    )
    config, state_dict = encoder(more.pop("variant", "base"))
    return searched(config, state_dict, more.pop("options", INT8), asked, record=record, **more)


def document(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text())
    return read
