"""Telling what the object in a torch file is, and finding the weights in it, whatever tool wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from aves_artifacts.base.messages import quoted
from aves_convert.pickles.records import Record
from aves_convert.torch_files.tensors import LazyTensor

Kind: TypeAlias = Literal[
    "fairseq checkpoint",
    "s3prl checkpoint",
    "TorchAudio state dict",
    "TorchAudio state dict (parametrizations)",
    "Hugging Face state dict",
    "fairseq state dict",
    "folder of transformers",
    "state dict",
    "other",
]
# A part of a name that only this kind has; the first that fits counts.
_MARKS: dict[Kind, str] = {
    "TorchAudio state dict (parametrizations)": "transformer.pos_conv_embed.conv.parametrizations.",
    "TorchAudio state dict": "encoder.transformer.",
    "Hugging Face state dict": "feature_projection.",
    "fairseq state dict": ".self_attn.",
}
# Where trainers other than fairseq's put weights, the first that is there: `model` of many, Lightning's, and others.
_PLACES = ("model", "state_dict", "model_state_dict")
_NESTED: tuple[Kind, ...] = ("fairseq state dict", "Hugging Face state dict")  # what is looked for in those places
_PORT = "already converted; to go on give it to aves-convert torchaudio2onnx, with its .model_config.json"
_ADVICE: dict[Kind, str] = {
    "TorchAudio state dict": f"a TorchAudio state dict (weight_g, weight_v), {_PORT}",
    "TorchAudio state dict (parametrizations)": f"a TorchAudio state dict (parametrizations.weight), {_PORT}",
    "Hugging Face state dict": "the weights of a model of transformers; give their folder, which has a config.json",
    "state dict": "a state dict of another model, expected a checkpoint that fairseq's trainer wrote",
}


def kind_of(root: object) -> Kind:
    """Tell what the object in a torch file is, by its keys."""
    if type(root) is not dict:
        return "other"
    if type(root.get("model")) is dict and any(map(_is_filled, (root.get("cfg"), root.get("args")))):
        return "fairseq checkpoint"
    if type(root.get("model_weight")) is dict and type(root.get("model_cfg")) in (dict, Record):
        return "s3prl checkpoint"
    kind = _kind_of_tensors(root)
    if kind in ("other", "state dict"):
        inside = _kind_of_tensors(weights_of(root))
        return inside if inside in _NESTED else kind
    return kind


def _is_filled(settings: object) -> bool:
    """Whether these are settings: some tools keep the entry, and nothing in it."""
    return (type(settings) is dict and bool(settings)) or (type(settings) is Record and bool(settings.state))


def weights_of(root: Mapping[object, object]) -> dict[object, object]:
    """Find the dict of tensors in what is no fairseq checkpoint: in one of the usual places, else the object itself."""
    for place in _PLACES:
        inside = root.get(place)
        if type(inside) is dict and _kind_of_tensors(inside) != "other":
            return inside
    return dict(root)


def advice(root: object) -> str:
    """Say what a file holds instead of a fairseq checkpoint, and what to do."""
    kind = kind_of(root)
    if kind in _ADVICE:
        return f"this is {_ADVICE[kind]}"
    if type(root) is dict:
        names = ", ".join(quoted(key, 30) for key in list(root)[:6] if type(key) is str)
        held = f"a dict with the entries {names or '(none)'}"
    else:
        held = f"a {type(root).__name__}" if type(root) is not Record else f"a {root.global_}"
    return (
        f"holds {held}, no fairseq checkpoint (expected the entries cfg, or args, and model); give the .pt of fairseq"
    )


def _kind_of_tensors(entries: Mapping[object, object]) -> Kind:
    """Tell whose names the tensors of a dict have."""
    names = [name for name, value in entries.items() if type(name) is str and type(value) is LazyTensor]
    if not names or 2 * len(names) < len(entries):
        return "other"
    for kind, part in _MARKS.items():
        if any(part in name for name in names):
            return kind
    return "state dict"
