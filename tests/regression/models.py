"""The models that goldens are made of: one of full size, and a tiny one of each kind. All are seeded stand-ins.

Each gives the same file, byte for byte, beside every torch: the goldens hold its SHA-256.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aves_convert.conversion.stand_in import GEOMETRIES, checkpoint_contents, write_stand_in
from aves_convert.torch_files.writer import PickledObject, write_torch_file

FULL_SIZE = "full-size"
_PRE_NORM: dict[str, Any] = {"layer_norm_first": True, "extractor_mode": "layer_norm", "conv_bias": True}
_WAV2VEC2: dict[str, Any] = {"_name": "wav2vec2", "quantize_targets": True, "latent_vars": 6, "latent_groups": 2}
_NORMALIZE = {"normalize": True}


@dataclass(frozen=True)
class Tiny:
    """Entries of fairseq's model and task config that differ from the tiny geometry's; ``head``: fine-tuned."""

    model: Mapping[str, Any] = field(default_factory=dict)
    task: Mapping[str, Any] = field(default_factory=dict)
    head: bool = False


TINY: dict[str, Tiny] = {
    "base": Tiny(),
    "layer-norm": Tiny({"extractor_mode": "layer_norm"}),
    "pre-norm": Tiny(_PRE_NORM, _NORMALIZE),
    "pre-norm-group-norm": Tiny({"layer_norm_first": True}),
    "no-projection": Tiny({"encoder_embed_dim": 16}),
    "odd-positions": Tiny({"conv_pos": 7, "conv_pos_groups": 2}),
    "deep": Tiny({"encoder_layers": 12}),
    "hubert-ctc": Tiny(head=True),
    "hubert-ctc-pre-norm": Tiny(_PRE_NORM, _NORMALIZE, head=True),
    "wav2vec2": Tiny(_WAV2VEC2),
    "wav2vec2-ctc": Tiny({**_WAV2VEC2, **_PRE_NORM}, _NORMALIZE, head=True),
}
NAMES = (*TINY, FULL_SIZE)
QUICK = ("base", "pre-norm", "hubert-ctc-pre-norm", "wav2vec2")  # one of each kind, in seconds


@dataclass(frozen=True)
class Files:
    """A model's checkpoint, and the one that it was fine-tuned from, where it was."""

    checkpoint: Path
    pretrained: Path | None = None


def write_model(name: str, folder: Path) -> Files:
    """Write a model's checkpoint in fairseq's format into ``folder``."""
    path = folder / f"{name}.pt"
    if name == FULL_SIZE:
        write_stand_in("bio", path)
        return Files(path)
    tiny = TINY[name]
    contents = checkpoint_contents({**GEOMETRIES["tiny"], **tiny.model}, seed=f"golden/{name}", task=tiny.task)
    letters = contents["task_state"]["dictionaries"][0]
    contents["cfg"] |= {"criterion": None, "lr_scheduler": None}  # which fairseq sets without asking
    if tiny.model.get("_name") == "wav2vec2":
        contents["cfg"]["task"] = {"_name": "audio_pretraining", "data": "", **tiny.task}
        contents["task_state"] = {}
    if not tiny.head:
        write_torch_file(contents, path)
        return Files(path)
    pretrained = folder / f"{name}.pretrained.pt"
    write_torch_file(contents, pretrained)
    write_torch_file(_fine_tuned(contents, letters), path)
    return Files(path, pretrained)


def _fine_tuned(contents: dict[str, Any], letters: PickledObject) -> dict[str, Any]:
    """As fairseq 0.12.2 saves what was fine-tuned: with a head, without pretraining heads and encoder config."""
    pretrained, task = contents["cfg"]["model"], contents["cfg"]["task"]
    gone = ("final_proj.", "quantizer.", "project_q.")
    kept = {name: tensor for name, tensor in contents["model"].items() if not name.startswith(gone)}
    model = {f"w2v_encoder.w2v_model.{name}": tensor for name, tensor in kept.items()}
    rows, columns = len(letters.state["symbols"]), pretrained["encoder_embed_dim"]
    scattered = (np.arange(rows * columns) * 40_503 % 65_536).astype(np.float32) / np.float32(65_536) - np.float32(0.5)
    model["w2v_encoder.proj.weight"] = scattered.reshape(rows, columns)
    model["w2v_encoder.proj.bias"] = scattered[:rows].copy()
    if pretrained["_name"] == "hubert":
        name, settings = "hubert_ctc", {"_name": "hubert_pretraining", "labels": ["ltr"], "fine_tuning": True}
    else:
        name, settings = "wav2vec_ctc", {"_name": "audio_finetuning", "labels": "ltr"}
    normalize = task.get("normalize", False)
    head = {
        "_name": name,
        "w2v_path": "pretrained.pt",
        "w2v_args": None,
        "ddp_backend": "pytorch_ddp",
        "normalize": normalize,
    }
    cfg = {**contents["cfg"], "model": head, "task": {**settings, "data": "", "normalize": normalize}}
    return {**contents, "cfg": cfg, "model": model, "task_state": {"target_dictionary": letters}}
