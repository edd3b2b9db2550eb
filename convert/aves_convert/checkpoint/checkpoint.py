"""A fairseq checkpoint, read without fairseq and without executing anything of it.

Follows ``fairseq/checkpoint_utils.py`` (``save_checkpoint``, ``load_checkpoint_to_cpu``) and ``fairseq/trainer.py``
(``state_dict``) of 0.12.2, and the layout from before ``cfg`` (an ``args`` Namespace).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import listed, quoted
from aves_convert.checkpoint.settings import attribute_of, plain, resolved
from aves_convert.pickles.records import Record, preview
from aves_convert.torch_files.reader import TorchFile
from aves_convert.torch_files.tensors import LazyTensor


@dataclass(frozen=True)
class Checkpoint:
    """What a fairseq checkpoint says about its model; optimizer state and an EMA copy are recognised and not read.

    ``model_config`` and ``task_config`` are plain containers: ``cfg.model`` and ``cfg.task``, or all of old ``args``.
    ``tensors`` is the ``model`` state dict in the file's order. ``dictionaries`` are the symbols of each label set, in
    the order in which fairseq's task holds them. ``num_updates`` is how long the model was trained, where it says so.
    ``pretrained`` is the file that the encoder's settings were taken from, where this one lacks them. ``stand_in``: the
    weights are seeded, and were never trained.
    """

    path: Path
    model_config: Mapping[str, Any]
    task_config: Mapping[str, Any]
    tensors: Mapping[str, LazyTensor] = field(repr=False)
    dictionaries: tuple[tuple[str, ...], ...] = field(default=(), repr=False)
    num_updates: int | None = None
    has_optimizer_state: bool = False
    has_ema: bool = False
    pretrained: Path | None = None
    stand_in: bool = False

    @property
    def dictionary_sizes(self) -> tuple[int, ...]:
        """The number of symbols of each label set, which sizes fairseq's output layers."""
        return tuple(map(len, self.dictionaries))


def checkpoint_of(file: TorchFile) -> Checkpoint:
    """Find the fairseq checkpoint in an opened torch file. Raises InputError where there is none."""
    root, where = file.root, str(file.path)
    if type(root) is not dict or kind_of(root) != "fairseq checkpoint":
        raise InputError(f"{where}: {_advice(root)}")
    tensors = _tensors(root["model"], where)
    file.refuse_repeated(tensors.values())
    try:
        model, task = _model_and_task(root)
        return Checkpoint(
            path=file.path,
            model_config=model,
            task_config=task,
            tensors=MappingProxyType(tensors),
            dictionaries=_dictionaries(root.get("task_state")),
            num_updates=_num_updates(root.get("optimizer_history")),
            has_optimizer_state=bool(root.get("last_optimizer_state")),
            has_ema=_has_ema(root),
            stand_in=type(extra := root.get("extra_state")) is dict and "stand_in" in extra,
        )
    except ValueError as error:
        raise InputError(f"{where}: unusable fairseq checkpoint: {error}") from None


def kind_of(root: object) -> Kind:
    """Tell what the object in a torch file is, by its keys."""
    if type(root) is not dict:
        return "other"
    if type(root.get("model")) is dict and any(type(root.get(key)) in (dict, Record) for key in ("cfg", "args")):
        return "fairseq checkpoint"
    names = [name for name, value in root.items() if type(name) is str and type(value) is LazyTensor]
    if not names or 2 * len(names) < len(root):
        return "other"
    for kind, part in _MARKS.items():
        if any(part in name for name in names):
            return kind
    return "state dict"


Kind: TypeAlias = Literal[
    "fairseq checkpoint",
    "TorchAudio state dict",
    "TorchAudio state dict (parametrizations)",
    "Hugging Face state dict",
    "fairseq state dict",
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
_PORT = "already converted; to go on give it to aves-convert torchaudio2onnx, with its .model_config.json"
_ADVICE: dict[Kind, str] = {
    "TorchAudio state dict": f"a TorchAudio state dict (weight_g, weight_v), {_PORT}",
    "TorchAudio state dict (parametrizations)": f"a TorchAudio state dict (parametrizations.weight), {_PORT}",
    "Hugging Face state dict": "a Hugging Face model, expected the checkpoint of fairseq that it was made from",
    "fairseq state dict": "weights of a fairseq model without their settings; expected the whole file that fairseq's "
    "trainer wrote, with the entries cfg and model",
    "state dict": "a state dict of another model, expected a checkpoint that fairseq's trainer wrote",
}


def _advice(root: object) -> str:
    """What a file holds instead of a fairseq checkpoint, and what to do."""
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


def _tensors(model: dict[object, object], where: str) -> dict[str, LazyTensor]:
    """The state dict. Raises InputError when it holds something else than tensors."""
    tensors = {name: value for name, value in model.items() if type(name) is str and type(value) is LazyTensor}
    if len(tensors) < len(model):
        wrong = [f"{preview(name)} is {preview(value)}" for name, value in model.items() if name not in tensors]
        raise InputError(f"{where}: the model holds something else than ordinary tensors: {listed(wrong, 5)}")
    return tensors


def _model_and_task(root: Mapping[object, object]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of model and task; in old files both are in one namespace, with their names under arch and task."""
    cfg = plain(root.get("cfg"))
    if type(cfg) is dict:
        cfg = resolved(cfg)
        if type(cfg.get("model")) is dict:
            task = cfg.get("task")
            return cfg["model"], task if type(task) is dict else {}
    args = plain(root.get("args"))
    if type(args) is not dict:
        raise ValueError("it has no settings of the model (cfg.model or args)")
    args = resolved(args)
    return {"_name": args.get("arch"), **args}, {"_name": args.get("task"), **args}


def _dictionaries(task_state: object) -> tuple[tuple[str, ...], ...]:
    """The symbols of every label set: ``dictionaries`` of pretraining, ``target_dictionary`` of fine-tuning."""
    if type(task_state) is not dict:
        return ()
    several = task_state.get("dictionaries")
    records = several if isinstance(several, list | tuple) else [task_state.get("target_dictionary")]
    found = []
    left = _MAX_SYMBOLS
    for record in records:
        symbols = attribute_of(record, "symbols") if type(record) is Record else None
        if type(symbols) is list:
            left -= 1 + len(symbols)
            if left < 0:
                raise ValueError(f"its label dictionaries have more than {_MAX_SYMBOLS} symbols")
            found.append(tuple(word for word in symbols if type(word) is str))
    return tuple(found)


_MAX_SYMBOLS = 1_000_000  # k-means has hundreds or thousands of clusters


def _num_updates(history: object) -> int | None:
    """The number of updates that the last optimizer of ``optimizer_history`` has made."""
    last = history[-1] if type(history) is list and history else None
    updates = plain(last.get("num_updates")) if type(last) is dict else None
    return updates if type(updates) is int else None


def _has_ema(root: Mapping[object, object]) -> bool:
    """Whether the trainer also saved an exponential moving average of the weights."""
    extra = root.get("extra_state")
    return any(type(part) is dict and part.get("ema") is not None for part in (root, extra))
