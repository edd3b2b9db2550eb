"""A fairseq checkpoint, read without fairseq and without executing anything of it.

Follows ``fairseq/checkpoint_utils.py`` (``save_checkpoint``, ``load_checkpoint_to_cpu``) and ``fairseq/trainer.py``
(``state_dict``) of 0.12.2, and the layout from before ``cfg`` (an ``args`` Namespace). What s3prl has made of one is
read too (``upstream/hubert/convert.py``), and weights that somebody has taken out of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import listed
from aves_artifacts.hugging_face.config import FolderConfig
from aves_convert.checkpoint.forms import Kind, advice, kind_of, weights_of
from aves_convert.checkpoint.hubert_keys import foreign_features
from aves_convert.checkpoint.settings import attribute_of, plain, resolved
from aves_convert.checkpoint.shapes import Told, told_by
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
    weights are seeded, and were never trained. ``told``: what the tensors tell, of a file without any settings; where
    the others do not come from another file, they are those of the published ``geometry``. ``folder``: the settings of
    a folder of transformers; then tensors have the names that it gives them, and of fairseq's settings there are only
    those of the task.
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
    kind: Kind = "fairseq checkpoint"
    told: Told | None = None
    geometry: str | None = None
    folder: FolderConfig | None = None

    @property
    def dictionary_sizes(self) -> tuple[int, ...]:
        """The number of symbols of each label set, which sizes fairseq's output layers."""
        return tuple(map(len, self.dictionaries))


def checkpoint_of(file: TorchFile) -> Checkpoint:
    """Find the fairseq checkpoint in an opened torch file. Raises InputError where there is none."""
    root, where = file.root, str(file.path)
    kind = kind_of(root)
    reader = _READERS.get(kind)
    if type(root) is not dict or reader is None:
        raise InputError(f"{where}: {advice(root)}")
    try:
        checkpoint = reader(file.path, root)
    except ValueError as error:
        raise InputError(f"{where}: unusable {kind}: {error}") from None
    file.refuse_repeated(checkpoint.tensors.values())
    return checkpoint


def _of_fairseq(path: Path, root: dict[object, object]) -> Checkpoint:
    """What fairseq's trainer wrote. Raises InputError and ValueError."""
    tensors = _tensors(root["model"], str(path))
    extra = root.get("extra_state")
    try:
        model, task = _model_and_task(root)
    except ValueError:
        _refuse_foreign(tensors, str(path))  # WavLM has the same layout
        raise
    return Checkpoint(
        path=path,
        model_config=model,
        task_config=task,
        tensors=MappingProxyType(tensors),
        dictionaries=_dictionaries(root.get("task_state")),
        num_updates=_num_updates(root.get("optimizer_history")),
        has_optimizer_state=bool(root.get("last_optimizer_state")),
        has_ema=_has_ema(root),
        stand_in=type(extra) is dict and "stand_in" in extra,
    )


def _of_s3prl(path: Path, root: dict[object, object]) -> Checkpoint:
    """What s3prl's converter made of a fairseq checkpoint. Raises InputError and ValueError."""
    settings = {"model": plain(root["model_cfg"]), "task": plain(root.get("task_cfg"))}
    missing = [f"{name}_cfg" for name, entries in settings.items() if type(entries) is not dict]
    if missing:  # without that of the task nobody knows whether the waveform is normalised
        raise ValueError(f"it has no settings in {' and '.join(missing)}")
    settings = resolved(settings)
    return Checkpoint(
        path=path,
        model_config=settings["model"],
        task_config=settings["task"],
        tensors=MappingProxyType(_tensors(root["model_weight"], str(path))),
        dictionaries=_symbols(root.get("dictionaries_symbols")),
        kind="s3prl checkpoint",
    )


def _of_weights(path: Path, root: dict[object, object]) -> Checkpoint:
    """Weights without their settings, wherever in a file. Raises InputError."""
    inside = {name: value for name, value in weights_of(root).items() if type(value) is LazyTensor}
    tensors = _tensors(inside, str(path))
    _refuse_foreign(tensors, str(path))
    told = told_by({name: tensor.shape for name, tensor in tensors.items()}, str(path))
    settings = {"_name": told.model_class}
    return Checkpoint(path, settings, {}, MappingProxyType(tensors), kind="fairseq state dict", told=told)


_READERS: dict[Kind, Callable[[Path, dict[object, object]], Checkpoint]] = {
    "fairseq checkpoint": _of_fairseq,
    "s3prl checkpoint": _of_s3prl,
    "fairseq state dict": _of_weights,
}


def _refuse_foreign(tensors: Iterable[str], where: str) -> None:
    """Raise InputError where tensors tell of a model that has no port, before anything is asked of its settings."""
    features = foreign_features(tensors)
    if features:
        raise InputError(*(f"{where}: {feature}" for feature in features))


def _tensors(model: object, where: str) -> dict[str, LazyTensor]:
    """The state dict. Raises InputError when it holds something else than tensors."""
    assert isinstance(model, dict)  # noqa: S101 - told from its kind
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
    return _symbols([attribute_of(record, "symbols") for record in records if type(record) is Record])


def _symbols(label_sets: object) -> tuple[tuple[str, ...], ...]:
    """The symbols of each set that is a list. Raises ValueError where there are more than any model has."""
    found = []
    left = _MAX_SYMBOLS
    for symbols in label_sets if type(label_sets) is list else []:
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
