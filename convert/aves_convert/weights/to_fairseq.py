"""Putting TorchAudio weights back into a fairseq checkpoint, in the place of those that it had.

Everything else is the checkpoint's: config, label dictionaries, counters, the tensors that a port leaves out. What
belongs to its former weights is left out: optimizer state and an exponential moving average.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError, raise_if_any
from aves_artifacts.base.messages import listed, printable
from aves_artifacts.bundle.manifest import LedgerEntry
from aves_artifacts.encoder import EncoderConfig, encoder_shapes
from aves_convert.checkpoint.architecture import architecture
from aves_convert.checkpoint.checkpoint import checkpoint_of
from aves_convert.checkpoint.pretrained import with_pretrained_settings
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.checkpoint.settings import attribute_of, has_attribute, plain
from aves_convert.pickles.records import Global, Record, preview
from aves_convert.torch_files.reader import open_torch_file
from aves_convert.torch_files.tensors import LazyTensor
from aves_convert.torch_files.writer import STORAGE_CLASSES, PickledObject
from aves_convert.weights.heads import CENTROIDS, Heads, head_name, heads_of, read_heads
from aves_convert.weights.ledger import account, identity
from aves_convert.weights.state_dict import read_state_dict

_NEEDED = ("args", "cfg", "task_state")  # without these fairseq builds another model, or none
_FORMER_WEIGHTS = ("last_optimizer_state", "optimizer", "ema", "ema_fp32_params")
_MAX_DEPTH = 100
_MAX_VALUES = 4_000_000  # far above any label dictionary; a stream can mention one list many times
_RECONSTRUCT = Global("copyreg", "_reconstructor")
_OBJECT = Global("builtins", "object")


@dataclass(frozen=True)
class FairseqPort:
    """The contents of a fairseq checkpoint with other weights, and what a user must know about it."""

    contents: Mapping[str, Any] = field(repr=False)
    remarks: tuple[str, ...]


def fairseq_port(
    weights: Path, config: EncoderConfig, like: Path, pretrained: Path | None = None, heads: Path | None = None
) -> FairseqPort:
    """Put TorchAudio weights, in either naming of weight norm, into the structure of the checkpoint ``like``.

    The tensors stand in the order of ``like`` and have its element types; where a value does not fit into half
    precision, the tensor stays float32, which fairseq loads as well. Weights that came from ``like`` return bit by bit.
    ``pretrained`` is what ``like`` was fine-tuned from, where it lacks that one's settings. ``heads`` are the
    projections and label embeddings to put in the place of those of ``like``; centroids have no place there.
    Raises InputError where geometry or tensors differ, or where ``like`` holds what cannot be written again.
    """
    file = open_torch_file(like)
    checkpoint = checkpoint_of(file)
    if checkpoint.kind != "fairseq checkpoint":
        found = f"file of another kind ({checkpoint.kind})"
        raise InputError(f"{like}: a {found}, expected a checkpoint as fairseq's trainer writes it")
    if pretrained is not None:
        checkpoint = with_pretrained_settings(checkpoint, read_checkpoint(pretrained))
    arch = architecture(checkpoint, allow_unknown_config=True)  # the config stays as it is
    _refuse_other_geometry(config, arch.config, weights, like)
    ledger = account(checkpoint, arch, encoder_shapes(arch.config))
    state_dict = read_state_dict(weights, config)
    _refuse_lost(state_dict, ledger, weights, like)
    replaced = (
        {}
        if heads is None
        else _replaced(
            read_heads(heads, config), heads_of(checkpoint, arch, allow_non_finite=True), ledger, heads, like
        )
    )
    wide: list[str] = []
    model = {
        entry.source: _tensor(entry, checkpoint.tensors[entry.source], {**state_dict, **replaced}, wide)
        for entry in ledger
        if entry.source is not None
    }
    thawing = _Thawing(bytes_left=file.size)
    contents = thawing.entries({str(key): value for key, value in _entries(file.root).items() if key != "model"})
    _refuse_unwritable(thawing.omitted, like)
    contents = {str(key): model if key == "model" else contents.get(key) for key in _entries(file.root)}
    return FairseqPort(contents, (*_left_out(checkpoint.has_optimizer_state, thawing), *_widened(wide, like)))


def _entries(root: object) -> dict[object, object]:
    assert isinstance(root, dict)  # noqa: S101 - checkpoint_of refuses everything else
    return root


def _refuse_other_geometry(config: EncoderConfig, wanted: EncoderConfig, weights: Path, like: Path) -> None:
    """Dropout may differ: it does nothing in evaluation, and the checkpoint keeps its own."""
    names = [f.name for f in dataclasses.fields(wanted) if not f.name.endswith(("dropout", "layer_drop"))]
    other = [
        f"{name} is {getattr(config, name)!r}, there {getattr(wanted, name)!r}"
        for name in names
        if getattr(config, name) != getattr(wanted, name)
    ]
    if other:
        raise InputError(
            *(f"{weights}: the config is not that of {like}: {problem}" for problem in other),
            hint="give {like} the checkpoint that the weights came from",
        )


def _refuse_lost(
    state_dict: Mapping[str, NDArray[np.float32]], ledger: tuple[LedgerEntry, ...], weights: Path, like: Path
) -> None:
    """A tensor that fairseq's model has no place for must still be the identity that conversion made it."""
    for entry in ledger:
        if entry.action != "created" or entry.target is None:
            continue
        if not np.array_equal(state_dict[entry.target], identity(entry.shape)):
            raise InputError(
                f"{weights}: {entry.target} is no longer the identity, and the model of {like} has no tensor for "
                "it: no checkpoint of that config computes what these weights compute"
            )


def _replaced(
    heads: Heads, former: Heads, ledger: tuple[LedgerEntry, ...], path: Path, like: Path
) -> dict[str, NDArray[np.float32]]:
    """The heads under the names that they have in ``like``. Raises InputError where it has no place for one."""
    places = {short: entry for entry in ledger if (short := head_name(entry.source)) is not None}
    given = {name: tensor for name, tensor in heads.tensors.items() if not name.startswith(CENTROIDS)}
    problems = [f"{name}: {like} has no such tensor" for name in given if name not in places]
    problems += [
        f"{name} has shape {list(tensor.shape)}, {like} {list(places[name].shape)}"
        for name, tensor in given.items()
        if name in places and tensor.shape != places[name].shape
    ]
    if heads.projections and heads.label_sets != former.label_sets:
        problems.append(f"projections of the label sets {list(heads.label_sets)}, {like} {list(former.label_sets)}")
    raise_if_any(problems, f"{path}: not the heads of that checkpoint")
    return {str(places[name].source): tensor for name, tensor in given.items()}


def _tensor(
    entry: LedgerEntry, like: LazyTensor, state_dict: Mapping[str, NDArray[np.float32]], wide: list[str]
) -> NDArray[Any]:
    """One tensor of the model; the names of those whose values do not fit the checkpoint's type go into ``wide``."""
    if like.dtype.name not in STORAGE_CLASSES:
        raise InputError(f"{like.storage.file.path}: {entry.source} is {entry.dtype}, which cannot be written again")
    tensor = state_dict.get(entry.target or str(entry.source))
    if tensor is None:
        return like.read()
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit stays wide
        narrowed = tensor.astype(like.dtype, copy=False)
        if np.all((narrowed.astype(tensor.dtype, copy=False) == tensor) | (tensor != tensor)):
            return narrowed
    wide.append(str(entry.source))
    return tensor


def _refuse_unwritable(omitted: list[tuple[str, str]], like: Path) -> None:
    needed = [f"{path} ({what})" for path, what in omitted if path.partition(".")[0] in _NEEDED]
    if needed:
        raise InputError(f"{like}: fairseq needs what cannot be written again: {listed(needed, 5)}")


def _left_out(had_optimizer: bool, thawing: _Thawing) -> list[str]:
    remarks = []
    if had_optimizer:
        remarks.append("optimizer state left out: it belongs to the former weights")
    if thawing.left_ema:
        remarks.append("moving average (EMA) left out: it belongs to the former weights")
    if thawing.omitted:
        omitted = [f"{path} ({what})" for path, what in thawing.omitted]
        remarks.append(f"left out, fairseq loads without it: {listed(omitted, 5)}")
    return remarks


def _widened(wide: list[str], like: Path) -> list[str]:
    if not wide:
        return []
    return [f"kept in float32, for half precision as in {like.name} would change them: {listed(wide, 3)}"]


class _UnwritableError(Exception):
    """A value that has no plain form, in a few words."""


@dataclass
class _Thawing:
    """Turns inert records into what writes them: plain values, and objects that are made from their attributes alone.

    omegaconf's nodes become dicts and lists, enum members and numpy scalars their values: what today's fairseq itself
    puts into its checkpoints. An entry that has no such form is left out and noted.
    """

    omitted: list[tuple[str, str]] = field(default_factory=list)  # path and what is there
    left_ema: bool = False
    left: int = _MAX_VALUES
    bytes_left: int = 0  # of tensors: a stream can mention one of them many times

    def entries(self, values: Mapping[Any, object], at: str = "", depth: int = 0) -> dict[Any, Any]:
        """The entries of a dict. What belongs to the former weights is None on top and missing elsewhere."""
        made: dict[Any, Any] = {}
        for key, value in values.items():
            path = f"{at}.{key}" if at else str(key)
            if key in _FORMER_WEIGHTS and path.partition(".")[0] not in _NEEDED:
                self.left_ema |= str(key).startswith("ema") and value is not None
                if not at:
                    made[key] = None
                continue
            try:
                made[self._key(key)] = self.value(value, path, depth + 1)
            except (_UnwritableError, ValueError) as problem:
                self.omitted.append((printable(path), str(problem)))
        return made

    def value(self, value: object, at: str, depth: int) -> Any:
        """Raises _UnwritableError, and ValueError where settings are deeper or larger than any are."""
        self.left -= 1
        if self.left < 0 or depth > _MAX_DEPTH:
            raise _UnwritableError("deeper or larger than any checkpoint")
        if type(value) is dict:
            return self.entries(value, at, depth)
        if type(value) is list:
            return [self.value(item, at, depth + 1) for item in value]
        if type(value) is tuple:
            return tuple(self.value(item, at, depth + 1) for item in value)
        if type(value) is LazyTensor and value.dtype.name in STORAGE_CLASSES:
            self.bytes_left -= value.nbytes
            if self.bytes_left < 0:
                raise _UnwritableError("more bytes than the file has")
            return value.read()
        if type(value) is Record:
            return self._record(value, at, depth)
        if value is None or type(value) in (bool, int, float, str):
            return value
        raise _UnwritableError(preview(value))

    def _record(self, record: Record, at: str, depth: int) -> Any:
        if record.global_.module.partition(".")[0] == "omegaconf":
            for attribute in ("_content", "_val"):
                if has_attribute(record, attribute):
                    return self.value(attribute_of(record, attribute), at, depth + 1)
        cls = _class_of(record)
        if cls is not None:
            state = {} if record.state is None else record.state
            return PickledObject(cls.module, cls.name, self.entries(state, at, depth))  # type: ignore[arg-type]
        value = plain(record)
        if type(value) is Record:
            raise _UnwritableError(str(value.global_))
        return self.value(value, at, depth + 1)

    def _key(self, key: object) -> object:
        value = plain(key)
        if value is not None and type(value) not in (bool, int, float, str):
            raise _UnwritableError(f"the key {preview(key)}")
        return value


def _class_of(record: Record) -> Global | None:
    """The class of an object that pickle makes without arguments and fills from a dict; None for any other record."""
    cls = record.global_
    if cls == _RECONSTRUCT and record.args[1:] == (_OBJECT, None) and type(record.args[0]) is Global:
        cls = record.args[0]  # as protocols 0 and 1 write it
    elif record.args or record.kwargs:
        return None
    if record.items or record.values or type(record.state) not in (dict, type(None)):
        return None
    # The name is written as a line of text; one that is no name could smuggle other opcodes into the file.
    parts = [*cls.module.split("."), cls.name]
    is_name = all(part.isascii() and part.isidentifier() for part in parts)
    return cls if is_name and cls.module != "builtins" else None
