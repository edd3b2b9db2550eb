"""Mistakes in what people take out of an encoder beside its embeddings: layers, projections, units."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import safe_open
from tests.verify.faults.fault import BATCH, FILE, OUTPUT, Fault
from tests.verify.faults.graph_edits import Model, in_graph, node, set_weight

from aves_convert.torch_files.safetensors_writer import write_safetensors

Tensors = dict[str, np.ndarray]
_LAYER = "/encoder/transformer/layers.{}/"
_POST, _PRE = _LAYER + "final_layer_norm/Add", _LAYER + "Add"


def reads(name: str, value: str, *, at: int = 0) -> Callable[[Model], None]:
    """A node that reads another value than it should."""

    def change(model: Model) -> None:
        found = node(model, name)
        assert found.input[at] != value
        assert any(value in (*other.output, *(t.name for t in model.graph.initializer)) for other in model.graph.node)
        found.input[at] = value

    return change


def both(*changes: Callable[[Model], None]) -> Callable[[Model], None]:
    def apply(model: Model) -> None:
        for change in changes:
            change(model)

    return apply


def weights(change: Callable[[np.ndarray], np.ndarray], *names: str) -> Callable[[Model], None]:
    return lambda model: [set_weight(model, name, change) for name in names] and None


def kept_by(op: str) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        (found,) = [n for n in model.graph.node if n.op_type == "ArgMin"]
        found.op_type = op

    return change


def said(change: Callable[[list[dict[str, object]]], None]) -> Callable[[Model], None]:
    """What the metadata says of the outputs, otherwise."""

    def apply(model: Model) -> None:
        (entry,) = (entry for entry in model.metadata_props if entry.key == "outputs")
        outputs = json.loads(entry.value)
        change(outputs)
        entry.value = json.dumps(outputs)

    return apply


def labels_exchanged(outputs: list[dict[str, object]]) -> None:
    first, second = (output for output in outputs if str(output["name"]).startswith("layer.1.projection"))
    first["label_set"], second["label_set"] = second["label_set"], first["label_set"]


def another_layer(outputs: list[dict[str, object]]) -> None:
    outputs[0]["layer"] = 2


def transposed(array: np.ndarray) -> np.ndarray:
    return array.reshape(array.shape[::-1]).T


_UNITS = "centroids.layer.1."
_IN_GRAPHS: dict[str, tuple[tuple[str, ...], Callable[[Model], None]]] = {
    "a layer named by the count of others": ((OUTPUT,), reads("/layer.2/Reshape", _POST.format(1))),
    "projection of another layer": ((OUTPUT,), reads("/layer.1/projection.0/Gemm", _POST.format(0))),
    "projection of another label set": (
        (OUTPUT,),
        both(
            reads("/layer.1/projection.0/Gemm", "final_proj.1.weight", at=1),
            reads("/layer.1/projection.0/Gemm", "final_proj.1.bias", at=2),
        ),
    ),
    "label sets exchanged in what is said": ((FILE,), said(labels_exchanged)),
    "another layer in what is said": ((FILE,), said(another_layer)),
    "projection read transposed": ((OUTPUT,), weights(transposed, "final_proj.0.weight")),
    "projection without its bias": ((OUTPUT,), weights(np.zeros_like, "final_proj.0.bias")),
    "projection with its weight in half precision": (
        (OUTPUT,),
        weights(lambda a: a.astype(np.float16).astype(np.float32), "final_proj.0.weight"),
    ),
    "units of another layer": ((OUTPUT,), reads("/layer.1/units/centred/Sub", _POST.format(2))),
    "centroids in another order": (
        (OUTPUT,),
        weights(lambda a: np.roll(a, 1, axis=0), f"{_UNITS}negated", f"{_UNITS}half_squares"),
    ),
    "centroids without their lengths": ((OUTPUT,), weights(np.zeros_like, f"{_UNITS}half_squares")),
    "centroids off by their mean": ((OUTPUT,), weights(np.zeros_like, f"{_UNITS}mean")),
    "the farthest centroid": ((OUTPUT,), kept_by("ArgMax")),
    "centroids in half precision": (
        (FILE, OUTPUT, BATCH, "length", "level"),
        weights(lambda a: a.astype(np.float16).astype(np.float32), f"{_UNITS}negated"),
    ),
}


def in_heads(name: str, change: Callable[[Tensors, dict[str, str]], None]) -> Fault:
    """A mistake in the file beside TorchAudio's weights."""

    def damage(torchaudio: Path, _config: Path) -> None:
        path = torchaudio.with_name("x.heads.safetensors")
        with safe_open(path, framework="numpy") as file:
            tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata())  # noqa: SIM118
        change(tensors, metadata)
        path.unlink()
        write_safetensors(tensors, path, metadata=metadata)

    return Fault(name, (OUTPUT, FILE), "torchaudio", damage)


def sets_exchanged(tensors: Tensors, _metadata: dict[str, str]) -> None:
    for part in ("weight", "bias"):
        tensors[f"final_proj.{part}"] = np.concatenate(np.split(tensors[f"final_proj.{part}"], 2)[::-1])


def one_set(_tensors: Tensors, metadata: dict[str, str]) -> None:
    metadata["label_sets"] = '["km"]'


def labels_negated(tensors: Tensors, _metadata: dict[str, str]) -> None:
    tensors["label_embs_concat"] = -tensors["label_embs_concat"]


OUTPUT_FAULTS = (
    *(in_graph(name, *stages, port="named outputs")(change) for name, (stages, change) in _IN_GRAPHS.items()),
    in_graph("projection before the last norm", OUTPUT, port="named outputs", encoder="pre-norm")(
        reads("/projection.0/Gemm", _PRE.format(2))
    ),
    in_graph("the last layer after the last norm", OUTPUT, port="named outputs", encoder="pre-norm")(
        reads("/layer.2/Reshape", "/encoder/transformer/layer_norm/Add")
    ),
    in_heads("heads: label sets exchanged", sets_exchanged),
    in_heads("heads: one label set for two", one_set),
    in_heads("heads: label embeddings negated", labels_negated),
)
