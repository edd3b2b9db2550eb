"""Making checkpoints with made-up weights in fairseq's own format, for when the published ones are not at hand.

A stand-in has the names, shapes, config and label dictionary of a file that fairseq's trainer writes, and weights that
are pseudo-random. fairseq's own loader accepts it. It knows nothing about animals.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from aves_artifacts.encoder import encoder_shapes
from aves_artifacts.files.concurrency import pool
from aves_convert.checkpoint.architecture import Architecture, architecture
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.config_entries import DEFAULTS
from aves_convert.torch_files.writer import PickledObject, write_torch_file

Geometry = Literal["base", "large", "tiny"]

# Entries of fairseq's model config that differ from its defaults. base: hubert_base_librispeech.yaml.
# large: BirdAVES, which has the large transformer with the base model's group norm and post-norm.
GEOMETRIES: dict[str, dict[str, Any]] = {
    "base": {"encoder_layerdrop": 0.05, "dropout_input": 0.1, "dropout_features": 0.1, "final_dim": 256},
    "large": {
        "encoder_layers": 24,
        "encoder_embed_dim": 1024,
        "encoder_ffn_embed_dim": 4096,
        "encoder_attention_heads": 16,
        "final_dim": 768,
    },
    "tiny": {
        "conv_feature_layers": "[(16,10,5)] + [(16,3,2)] * 4 + [(16,2,2)] * 2",
        "encoder_layers": 2,
        "encoder_embed_dim": 24,
        "encoder_ffn_embed_dim": 48,
        "encoder_attention_heads": 4,
        "conv_pos": 16,
        "conv_pos_groups": 4,
        "final_dim": 8,
    },
}

_THREADS = 2  # numpy lets others run while it draws
_LABELS = 500  # k-means clusters, as in HuBERT's second iteration; fairseq's Dictionary adds four symbols of its own
_OUTLIER = 300.0  # size of the large dimensions of `all`'s last layer; the others are of the order of 1


def write_stand_in(name: str, path: Path, *, geometry: Geometry = "base", seed: int = 0) -> None:
    """Write the stand-in for a configuration; the same name, size and seed give the same bytes everywhere.

    ``all`` is scaled so that most of its outputs lie near zero, as its authors report of the real one.
    """
    near_zero = name == "all"
    root = checkpoint_contents(GEOMETRIES[geometry], seed=f"{name}/{geometry}/{seed}", near_zero=near_zero)
    write_torch_file(root, path)


def checkpoint_contents(
    model: Mapping[str, Any],
    *,
    seed: str,
    near_zero: bool = False,
    task: Mapping[str, Any] | None = None,
    dtype: DTypeLike = np.float32,
) -> dict[str, Any]:
    """Make what fairseq's trainer would write: config, labels, tensors and counters.

    ``model`` and ``task`` are entries of fairseq's configs that differ from its defaults.
    """
    model_cfg = {"_name": "hubert", **DEFAULTS, **model, "label_rate": 50.0}
    task_cfg: dict[str, Any] = {
        "_name": "hubert_pretraining",
        "data": "",
        "labels": ["km"],
        "label_rate": 50.0,
        "sample_rate": 16_000,
        "normalize": False,
        **(task or {}),
    }
    checkpoint = Checkpoint(path=Path(seed), model_config=model_cfg, task_config=task_cfg, tensors={})
    described = architecture(checkpoint, allow_unknown_config=True)  # whatever the caller wants to try
    shapes = _shapes(described, len(task_cfg["labels"]))
    with pool(_THREADS) as threads:
        weights = threads.map(lambda name: _weight(name, shapes[name], f"{seed}/{name}"), shapes)
        tensors = {name: weight.astype(dtype, copy=False) for name, weight in zip(shapes, weights, strict=True)}
    if near_zero:
        _press_outputs_towards_zero(tensors, described)
    only = {name: value for name, value in model_cfg.items() if name in _HUBERT_ENTRIES or name in model}
    return {
        "args": None,
        "cfg": {"_name": None, "common": {"_name": None, "seed": 1}, "model": only, "task": task_cfg},
        "model": tensors,
        "criterion": None,
        "optimizer_history": [
            {
                "criterion_name": "HubertCriterion",
                "optimizer_name": "FairseqAdam",
                "lr_scheduler_state": {"best": None},
                "num_updates": 0,
            }
        ],
        "task_state": {"dictionaries": [_dictionary() for _ in task_cfg["labels"]]},
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}, "stand_in": seed},
        "last_optimizer_state": None,
    }


_OTHERS = ("quantize", "latent", "encoder_layers_1")  # of wav2vec 2.0 and ContentVec
_HUBERT_ENTRIES = {name for name in DEFAULTS if not name.startswith(_OTHERS)} | {"_name", "label_rate"}


def _shapes(described: Architecture, label_sets: int) -> dict[str, tuple[int, ...]]:
    """fairseq's name -> shape of every tensor, those that a port drops included."""
    sizes = encoder_shapes(described.config)
    shapes = {source: sizes[target] for source, target in described.mapping.items()}
    dropped = {name: rule.shape for name, rule in described.dropped.items()}
    return shapes | {
        name: tuple(size or label_sets * (_LABELS + 4) for size in shape) for name, shape in dropped.items()
    }


def _weight(name: str, shape: tuple[int, ...], seed: str) -> NDArray[np.float32]:
    """Weights of the size that training leaves behind, so that layers neither explode nor fall silent."""
    noise = _gaussian(math.prod(shape), seed).reshape(shape)
    is_norm = "layer_norm" in name or (name.startswith("feature_extractor") and name.split(".")[3] == "2")
    if name.endswith("weight_g"):  # the length of weight_v's columns, which have variance 1
        return np.float32(0.6) * (1 + np.float32(0.2) * noise)
    if name.endswith("weight_v"):
        return noise
    if is_norm:
        return 1 + np.float32(0.2) * noise if name.endswith("weight") else np.float32(0.1) * noise
    if len(shape) == 1:
        return np.float32(0.05) * noise
    fan_in = math.prod(shape[1:])
    gain = 2.0 if "conv_layers" in name or ".fc1." in name else 1.0  # GELU halves the variance
    if ".out_proj." in name or ".fc2." in name:
        gain = 0.25  # what a layer adds is smaller than what it passes on, or all frames end up the same
    return np.float32(math.sqrt(gain / fan_in)) * noise


def _gaussian(count: int, seed: str) -> NDArray[np.float32]:
    """``count`` nearly normal numbers of mean 0 and variance 1, bit-identical on every platform and numpy.

    Each is the sum of four uniform 16-bit numbers (Irwin-Hall): no transcendental function that could round
    differently.
    numpy guarantees the raw stream of a bit generator, not that of ``standard_normal``.
    """
    key = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "little")
    raw: NDArray[np.uint64] = np.random.PCG64(key).random_raw(count)
    total = np.zeros(count, dtype=np.int32)
    for shift in (0, 16, 32, 48):
        total += ((raw >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int32)
    variance = 4 * (2**32 - 1) / 12
    return (total - 2 * 0xFFFF).astype(np.float32) / np.float32(math.sqrt(variance))


def _press_outputs_towards_zero(tensors: dict[str, NDArray[np.float32]], described: Architecture) -> None:
    """Give the last layer a few large dimensions; its layer norm then divides all the others down towards zero.

    Trained transformers have such outlier dimensions. A difference that is nothing beside them is a large relative one
    in the others. Their own output is scaled down, so that it does not hide the rest.
    """
    last = f"encoder.layers.{described.config.encoder_num_layers - 1}"
    dim = described.config.encoder_embed_dim
    outliers = np.arange(0, dim, max(dim // 12, 2))[: dim // 12 // 2 * 2][:12]
    signs = np.tile(np.array([1, -1], np.float32), len(outliers) // 2)  # balanced: the norm's mean stays where it was
    tensors[f"{last}.fc2.bias"][outliers] += np.float32(_OUTLIER) * signs
    tensors[f"{last}.final_layer_norm.weight"][outliers] *= 0.05
    tensors[f"{last}.final_layer_norm.bias"] *= 0.01


def _dictionary() -> PickledObject:
    """fairseq's Dictionary of k-means labels, as its ``Dictionary.load`` leaves it."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    symbols = special + [str(i) for i in range(_LABELS)]
    state = {
        "bos_word": "<s>",
        "unk_word": "<unk>",
        "pad_word": "<pad>",
        "eos_word": "</s>",
        "symbols": symbols,
        "count": [1] * len(symbols),
        "indices": {symbol: i for i, symbol in enumerate(symbols)},
        "bos_index": 0,
        "pad_index": 1,
        "eos_index": 2,
        "unk_index": 3,
        "nspecial": 4,
    }
    return PickledObject("fairseq.data.dictionary", "Dictionary", state)
