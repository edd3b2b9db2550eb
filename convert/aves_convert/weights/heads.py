"""What stands on an encoder: the projections of its pretraining, the labels' embeddings, and centroids for units.

A port's state dict has no place for them. They lie beside it in ``NAME.heads.safetensors``, under fairseq's own names;
centroids, which a checkpoint never has, under ``centroids.layer.N``.

Sources: fairseq 0.12.2 ``models/hubert/hubert.py`` (``final_proj``, ``label_embs_concat``, ``untie_final_proj``),
``models/wav2vec/wav2vec2.py`` (``final_proj``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError, raise_if_any
from aves_artifacts.base.messages import first_line, printable, quoted
from aves_artifacts.bundle.outputs import Output, OutputRecord, layer_name
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.documents import check_regular, parse_json
from aves_convert.checkpoint.architecture import Architecture
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.torch_files.safetensors_writer import write_safetensors

Floats = NDArray[np.float32]

PROJECTION, LABELS, CENTROIDS = "final_proj", "label_embs_concat", "centroids."
_WEIGHT, _BIAS = f"{PROJECTION}.weight", f"{PROJECTION}.bias"
_NAMES = (_WEIGHT, _BIAS, LABELS)
_SETS = "label_sets"  # the entry of the file's metadata


@dataclass(frozen=True)
class Heads:
    """Tensors by their names in the file, and the names of the label sets that have a projection each.

    ``label_sets`` has one entry where there is one set, none where several share a projection, or where nobody told.
    """

    tensors: Mapping[str, Floats] = field(default_factory=dict, repr=False)
    label_sets: tuple[str, ...] = ()

    @property
    def projections(self) -> int:
        """How many projections there are, each of its own part of ``final_proj``'s rows."""
        return 0 if _WEIGHT not in self.tensors else max(1, len(self.label_sets))

    @property
    def projected(self) -> int:
        """How many numbers a projection gives."""
        return int(self.tensors[_WEIGHT].shape[0]) // self.projections

    @property
    def centroids(self) -> dict[int, Floats]:
        """By layer, [k, dim] each."""
        return {
            int(name.removeprefix(CENTROIDS).partition(".")[2]): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(CENTROIDS)
        }

    def projection(self, label_set: int | None) -> tuple[Floats, Floats]:
        """Weight [numbers, dim] and bias [numbers] of one set's projection; None: of the only one."""
        rows = slice((label_set or 0) * self.projected, ((label_set or 0) + 1) * self.projected)
        return self.tensors[_WEIGHT][rows], self.tensors[_BIAS][rows]

    def single_projections(self) -> dict[str, Floats]:
        """Weight and bias of every projection, under ``projection_name``."""
        found = {}
        for output in self.projections_of(None):
            for part, values in zip(("weight", "bias"), self.projection(output.label_set), strict=True):
                found[f"{projection_name(output.label_set)}.{part}"] = values
        return found

    def projections_of(self, layer: int | None) -> tuple[Output, ...]:
        """The outputs that there are of a layer, or of the embeddings: one for each projection."""
        several = self.projections > 1
        return tuple(Output("projection", layer, i if several else None) for i in range(self.projections))

    def with_centroids(self, centroids: Mapping[int, Floats]) -> Heads:
        """Add centroids by layer, in the place of those that there are."""
        added = {f"{CENTROIDS}{layer_name(layer)}": values for layer, values in centroids.items()}
        return replace(self, tensors={**self.tensors, **added})

    def has(self, output: Output) -> bool:
        """Whether what an output of heads is made of is there; of others nothing is needed."""
        if output.kind == "units":
            return output.layer in self.centroids
        return output.kind != "projection" or (output.label_set or 0) < self.projections

    def record(self, output: Output, config: EncoderConfig) -> OutputRecord:
        """What is recorded of an output of this encoder."""
        if output.kind == "units":
            assert output.layer is not None  # noqa: S101 - units are a layer's
            return OutputRecord(output.name, output.layer, None, units=len(self.centroids[output.layer]))
        if output.kind == "projection":
            named = self.label_sets[output.label_set or 0] if self.label_sets else None
            return OutputRecord(output.name, output.layer, self.projected, label_set=named)
        size = config.aux_num_out if output.kind == "logits" else config.encoder_embed_dim
        return OutputRecord(output.name, output.layer, size)


NO_HEADS = Heads()


def projection_name(label_set: int | None) -> str:
    """What a projection is called by itself: as a module of a graph, and in what is told of it."""
    return PROJECTION if label_set is None else f"{PROJECTION}.{label_set}"


def heads_of(checkpoint: Checkpoint, arch: Architecture, *, allow_non_finite: bool = False) -> Heads:
    """Take the heads of a checkpoint that was found whole; of a fine-tuned one that is at most the labels' embeddings.

    Half precision is widened exactly. Raises InputError for values that are NaN or infinite, unless they are allowed.
    """
    found, problems = {}, []
    for name in checkpoint.tensors:
        short = head_name(name)
        if short is None or name not in arch.dropped:
            continue
        found[short] = np.ascontiguousarray(checkpoint.tensors[name].float32())
        if not np.isfinite(found[short]).all():
            problems.append(f"{name} holds values that are NaN or infinite")
    if not allow_non_finite:
        raise_if_any(
            problems,
            f"{checkpoint.path}: damaged weights (a diverged training run?)",
            hint="{allow_non_finite} converts them as they are",
        )
    shapes = {name: found[name].shape for name in found}
    return Heads({name: found[name] for name in _NAMES if name in found}, _label_sets(checkpoint, shapes))


def head_name(source: str | None) -> str | None:
    """What a tensor of a checkpoint is called among the heads; None where it is none of them."""
    found = (name for name in _NAMES if source is not None and (source == name or source.endswith(f".{name}")))
    return next(found, None)


def projection_sizes(checkpoint: Checkpoint, arch: Architecture) -> dict[str, int]:
    """How many numbers each projection gives that there is, by its output's name; no tensor is read."""
    names = {name: head_name(name) for name in checkpoint.tensors if name in arch.dropped}
    shapes = {short: checkpoint.tensors[name].shape for name, short in names.items() if short is not None}
    if _WEIGHT not in shapes:
        return {}
    count = max(1, len(_label_sets(checkpoint, shapes)))
    outputs = (Output("projection", label_set=i if count > 1 else None) for i in range(count))
    return {output.name: shapes[_WEIGHT][0] // count for output in outputs}


def _label_sets(checkpoint: Checkpoint, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """The names of the sets that have a projection each; ``set 0``, … where the file tells only how many there are."""
    if _WEIGHT not in shapes:
        return ()
    size = shapes[LABELS][1] if LABELS in shapes else shapes[_WEIGHT][0]
    count = shapes[_WEIGHT][0] // size
    names = checkpoint.task_config.get("labels")
    told = [printable(name) for name in names if type(name) is str] if isinstance(names, list | tuple) else []
    if count == 1 and len(told) > 1:
        return ()  # they share it
    if len(told) == count == len(set(told)):
        return tuple(told)
    return tuple(f"set {index}" for index in range(count)) if count > 1 else ()


def write_heads(heads: Heads, path: Path) -> None:
    """Write ``NAME.heads.safetensors``. Raises InputError."""
    # One entry: of several the library writes one first today and another tomorrow, and the bytes are to be the same.
    write_safetensors(heads.tensors, path, metadata={_SETS: json.dumps(heads.label_sets, ensure_ascii=False)})


def read_heads(path: Path, config: EncoderConfig) -> Heads:
    """Read ``NAME.heads.safetensors``. Raises InputError for another file, and for heads of another encoder."""
    from safetensors import SafetensorError, safe_open

    expected = "expected the NAME.heads.safetensors that aves-convert wrote"
    try:
        check_regular(path)  # the library waits for a pipe's writer
        with safe_open(path, framework="numpy") as file:
            names = sorted(file.keys())
            told = parse_json((file.metadata() or {}).get(_SETS, "[]"))
            unknown = [name for name in names if name not in _NAMES and not _is_centroids(name, config)]
            if unknown or not isinstance(told, list) or not all(isinstance(each, str) for each in told):
                what = f"has {quoted(unknown[0])}" if unknown else f"says {_SETS} {quoted(told)}"
                raise InputError(f"{path}: no heads of this encoder: {what}; {expected}")
            tensors = {name: np.asarray(file.get_tensor(name)) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read the heads ({first_line(error)}); {expected}") from None
    heads = Heads(tensors, tuple(told))
    raise_if_any(list(_problems(heads, config)), f"{path}: no heads of this encoder")
    return heads


def _is_centroids(name: str, config: EncoderConfig) -> bool:
    layer = Output.of(name.removeprefix(CENTROIDS)) if name.startswith(CENTROIDS) else None
    return (
        layer is not None
        and layer.kind == "features"
        and layer.layer is not None
        and layer.layer < config.encoder_num_layers
    )


def _is_matrix(tensor: NDArray[Any], columns: int | None) -> bool:
    fits = tensor.ndim == 2 and len(tensor) > 0 and columns in (None, tensor.shape[1])
    return tensor.dtype == np.float32 and fits


def _problems(heads: Heads, config: EncoderConfig) -> list[str]:
    dim, tensors = config.encoder_embed_dim, heads.tensors
    problems = [
        f"{name} is {tensor.dtype} {list(tensor.shape)}, expected float32 [n, {'any' if name == LABELS else dim}]"
        for name, tensor in tensors.items()
        if name != _BIAS and not _is_matrix(tensor, None if name == LABELS else dim)
    ]
    problems += [
        f"{name} holds values that are NaN or infinite"
        for name, tensor in tensors.items()
        if tensor.dtype == np.float32 and not np.isfinite(tensor).all()
    ]
    if (_WEIGHT in tensors) != (_BIAS in tensors):
        problems.append(f"there is only one of {_WEIGHT} and {_BIAS}")
    elif not problems and _WEIGHT in tensors:
        rows = len(tensors[_WEIGHT])
        if tensors[_BIAS].dtype != np.float32 or tensors[_BIAS].shape != (rows,):
            problems.append(
                f"{_BIAS} is {tensors[_BIAS].dtype} {list(tensors[_BIAS].shape)}, expected float32 [{rows}]"
            )
        if not rows or rows % max(1, len(heads.label_sets)):
            problems.append(f"{_WEIGHT} has {rows} rows for {len(heads.label_sets)} label sets")
    return problems
