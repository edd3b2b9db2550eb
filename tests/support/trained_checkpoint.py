"""A genuine checkpoint: fairseq's own trainer, on audio made here, for a few updates.

Run as a file it is the launcher of ``fairseq-hydra-train``; imported, ``train`` prepares the data and runs it.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import subprocess
import sys
import wave
from importlib.abc import Loader
from importlib.machinery import FileFinder
from pathlib import Path
from typing import Any, Literal

import numpy as np

Geometry = Literal["small", "base", "small-prenorm"]

SAMPLE_RATE = 16_000
LABEL_RATE = 50
CLUSTERS = 20
CLIPS = 4

BASE_CONVOLUTIONS = "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2"
SMALL = {
    "encoder_layers": 2,
    "encoder_embed_dim": 32,
    "encoder_ffn_embed_dim": 64,
    "encoder_attention_heads": 4,
    "final_dim": 16,
    "conv_feature_layers": "[(24,10,5)] + [(24,3,2)] * 4 + [(24,2,2)] * 2",
}
MODEL: dict[Geometry, dict[str, Any]] = {
    "base": {"final_dim": 256, "conv_feature_layers": BASE_CONVOLUTIONS},  # the rest is fairseq's default
    "small": SMALL,
    "small-prenorm": {**SMALL, "extractor_mode": "layer_norm", "layer_norm_first": True, "conv_bias": True},
}


def train(folder: Path, geometry: Geometry = "small", *, updates: int = 3) -> Path:
    """Train a HuBERT in ``folder`` and return its ``checkpoint_last.pt``, as fairseq's trainer wrote it.

    ``base`` is the geometry of fairseq's published hubert_base_librispeech (95 M parameters, a 1.1 GB file),
    ``small-prenorm`` a small model of hubert_large's kind. Raises RuntimeError with the trainer's output if it fails.
    """
    folder = folder.resolve()
    _write_data(folder / "data")
    (folder / "config").mkdir()
    # JSON is YAML; the first line tells Hydra that the keys are those of the root.
    config = json.dumps(_config(folder, geometry, updates), indent=1)
    (folder / "config" / "pretrain.yaml").write_text(f"# @package _group_\n{config}\n")
    command = [sys.executable, __file__, "--config-dir", str(folder / "config"), "--config-name", "pretrain"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    checkpoint = folder / "checkpoints" / "checkpoint_last.pt"
    if done.returncode or not checkpoint.exists():
        raise RuntimeError(f"fairseq-hydra-train ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return checkpoint


def _config(folder: Path, geometry: Geometry, updates: int) -> dict[str, Any]:
    """The settings of the published hubert_base_librispeech.yaml where they are not those of a cluster of GPUs."""
    return {
        "common": {"fp16": False, "cpu": True, "log_format": "json", "log_interval": 1, "seed": 1337},
        "checkpoint": {"save_dir": str(folder / "checkpoints"), "no_epoch_checkpoints": True},
        "distributed_training": {"distributed_world_size": 1, "ddp_backend": "no_c10d"},
        "task": {
            "_name": "hubert_pretraining",
            "data": str(folder / "data"),
            "label_dir": str(folder / "data"),
            "labels": ["km"],
            "label_rate": "${model.label_rate}",
            "sample_rate": SAMPLE_RATE,
            "max_sample_size": 250_000,
            "min_sample_size": 32_000,
            "pad_audio": False,
            "random_crop": True,
            "normalize": geometry == "small-prenorm",
        },
        # No validation; the trainer opens its data all the same.
        "dataset": {
            "num_workers": 0,
            "max_tokens": 200_000,
            "disable_validation": True,
            "valid_subset": "train",
        },
        "criterion": {
            "_name": "hubert",
            "pred_masked_weight": 1.0,
            "pred_nomask_weight": 0.0,
            "loss_weights": [10],
        },
        "optimization": {"max_update": updates, "lr": [0.0005], "clip_norm": 10.0},
        "optimizer": {"_name": "adam", "adam_betas": "(0.9,0.98)", "adam_eps": 1e-06, "weight_decay": 0.01},
        "lr_scheduler": {"_name": "polynomial_decay", "warmup_updates": 1},
        "model": {
            "_name": "hubert",
            "label_rate": LABEL_RATE,
            "skip_masked": False,
            "skip_nomask": False,
            "mask_prob": 0.8,
            "extractor_mode": "default",
            "encoder_layerdrop": 0.05,
            "dropout_input": 0.1,
            "dropout_features": 0.1,
            "dropout": 0.1,
            "attention_dropout": 0.1,
            "activation_dropout": 0.0,
            "feature_grad_mult": 0.1,
            "untie_final_proj": True,
            **MODEL[geometry],
        },
        "hydra": {"run": {"dir": str(folder)}},
    }


def _write_data(data: Path) -> None:
    """Write WAV files, the manifest, frame-wise labels as from k-means, and their dictionary."""
    data.mkdir(parents=True)
    noise = np.random.default_rng(0)
    labels = random.Random(0)  # noqa: S311 (random labels, no secret)
    manifest, lines = [str(data)], []
    for index in range(CLIPS):
        samples = int(2.2 * SAMPLE_RATE) + 320 * index
        time = np.arange(samples) / SAMPLE_RATE
        sweep = 0.3 * np.sin(2 * np.pi * (400 * (index + 1) * time + 300 * time**2))
        audio = sweep + 0.05 * noise.standard_normal(samples)
        name = f"clip{index}.wav"
        with wave.open(str(data / name), "wb") as stream:
            stream.setnchannels(1)
            stream.setsampwidth(2)
            stream.setframerate(SAMPLE_RATE)
            stream.writeframes((audio * 20_000).astype("<i2").tobytes())
        manifest.append(f"{name}\t{samples}")
        frames = samples * LABEL_RATE // SAMPLE_RATE
        lines.append(" ".join(str(labels.randrange(CLUSTERS)) for _ in range(frames)))
    (data / "train.tsv").write_text("\n".join(manifest) + "\n")
    (data / "train.km").write_text("\n".join(lines) + "\n")
    (data / "dict.km.txt").write_text("".join(f"{cluster} 1\n" for cluster in range(CLUSTERS)))


def _launch() -> None:
    """Run the entry point of ``fairseq-hydra-train`` with what its age needs on this Python."""
    import torch  # noqa: F401 (before the wrapping)

    from aves_verify.backends.fairseq_import import old_dataclass_rules

    if sys.version_info >= (3, 12):  # find_module is gone, and Hydra 1.0 looks for its plugins with it
        FileFinder.find_module = _find_module  # type: ignore[attr-defined]
    with old_dataclass_rules():
        hydra_train = importlib.import_module("fairseq_cli.hydra_train")
    hydra_train.cli_main()


def _find_module(finder: FileFinder, name: str) -> Loader | None:
    spec = finder.find_spec(name)
    return spec.loader if spec else None


if __name__ == "__main__":
    _launch()
