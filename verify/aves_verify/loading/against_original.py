"""Holding a port's files against the original before anything is computed: weights, and what stands on the encoder."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import cut_off, printable
from aves_artifacts.bundle.outputs import Output, known_outputs, layer_name
from aves_artifacts.bundle.weights import read_copy
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.documents import parse_json
from aves_convert.graph.outputs import centroid_constants
from aves_convert.graph.transformer import depth_of, is_left_out
from aves_convert.weights.heads import CENTROIDS, Heads, projection_name
from aves_convert.weights.state_dict import read_state_dict
from aves_verify.backends.separate import SeparateBackend
from aves_verify.comparison.reduced_weights import ReducedWeights, Said, reduced_weights
from aves_verify.comparison.weight_search import onnx_weights
from aves_verify.comparison.weights import WeightSearch, torchaudio_weights
from aves_verify.subjects.subject import CONFIG, Subject

_MOST_TOLD = 5  # tensors


def weight_searches(
    subject: Subject,
    read: Collection[str],
    config: EncoderConfig,
    original: Mapping[str, NDArray[np.float32]],
    heads: Heads,
    graph: Future[SeparateBackend] | None,
) -> dict[str, WeightSearch]:
    """What became of the original's weights in each file, before anything is computed with them."""
    found: dict[str, WeightSearch] = {}
    if "torchaudio" in read and subject.torchaudio is not None:
        ported_config, ported = ported_weights(subject)
        if ported_config.architecture_entries() != config.architecture_entries():
            problem = f"torchaudio: {subject.config} is not the original's geometry"
            found["torchaudio"] = WeightSearch(len(original), 0, problems=(problem,))
        elif set(ported) == set(original):
            found["torchaudio"] = torchaudio_weights(original, ported, subject.torchaudio)
    if graph is not None and subject.onnx is not None:
        found["onnx"] = onnx_weights(_used(original, config, heads, graph.result()), subject.onnx)
    return found


def reduced_searches(
    subject: Subject,
    config: EncoderConfig,
    original: Mapping[str, NDArray[np.float32]],
    heads: Heads,
    graphs: Mapping[str, Future[SeparateBackend]],
) -> dict[str, ReducedWeights]:
    """What became of the original's weights in each graph that costs more than rounding, by port."""
    found = {}
    for port, loading in graphs.items():
        graph = loading.result()
        used = _used(original, config, heads, graph)
        found[port] = reduced_weights(used, subject.reduced[port], port, _said(subject, port, graph))
    return found


def _said(subject: Subject, port: str, graph: SeparateBackend) -> Said | None:
    """How a smaller graph's weights are said to lie: by its manifest, or else by itself, where it is one of ours."""
    record, metadata = subject.records.get(port), graph.about.metadata
    if record is not None:
        return Said(record.precision, record.weights, record.wide)
    if metadata.get("exporter") != "graph":
        return None
    try:
        wide = parse_json(metadata.get("wide", "[]"))
    except ValueError:
        wide = None
    named = tuple(map(str, wide)) if isinstance(wide, list) else (metadata["wide"],)
    return Said(metadata.get("precision", "float32"), metadata.get("weights", "float32"), named)


def head_problems(subject: Subject, heads: Heads, ported: Heads) -> Iterator[str]:
    """Are the heads beside the TorchAudio weights the original's, bit by bit?"""
    if subject.heads is None or subject.torchaudio is None:
        return
    for name in {**heads.tensors, **ported.tensors}:
        mine, theirs = ported.tensors.get(name), heads.tensors.get(name)
        if mine is None and name.startswith(CENTROIDS):
            continue  # given for the graph alone
        if mine is None:
            yield f"torchaudio: {subject.heads} lacks {name}, which the original has"
        elif theirs is None:
            yield f"torchaudio: {subject.heads} has {name}, which the original has not"
        elif mine.shape != theirs.shape or mine.tobytes() != theirs.tobytes():
            yield f"torchaudio: {subject.heads}: {name} is not the original's"
    if heads.label_sets != ported.label_sets:
        said, right = (list(each.label_sets) for each in (ported, heads))
        yield f"torchaudio: {subject.heads} says label sets {said}, the original {right}"


def copy_problems(path: Path, weights: Mapping[str, NDArray[np.float32]]) -> Iterator[str]:
    """Tell where a safetensors copy of the weights differs from these by a single bit."""
    try:
        copy = read_copy(path)
    except InputError as error:
        yield f"safetensors: {path} {error}"
        return
    told = [f"lacks {name}" for name in weights if name not in copy]
    told += [f"has {printable(name)}, which the original has not" for name in copy if name not in weights]
    for name, tensor in copy.items():
        wanted = weights.get(name)
        if wanted is not None and not (
            (tensor.dtype, tensor.shape) == ("float32", wanted.shape) and tensor.read().tobytes() == wanted.tobytes()
        ):
            told.append(f"has another {name} than the original")
    shown, left = cut_off(told, _MOST_TOLD)
    yield from (f"safetensors: {path} {problem}" for problem in shown)
    if left:
        yield f"safetensors: {path} has {left} more problems of this kind"


def _used(
    original: Mapping[str, NDArray[np.float32]], config: EncoderConfig, heads: Heads, graph: SeparateBackend
) -> dict[str, NDArray[np.float32]]:
    """The weights that a graph with these outputs has; all where nothing is known of them."""
    outputs = known_outputs(graph.gives)
    if not outputs:
        return dict(original)
    depth = depth_of(outputs, config)
    used = {
        name: values
        for name, values in original.items()
        if not is_left_out(name, config, depth) and (not name.startswith("aux.") or Output("logits") in outputs)
    }
    projections = {projection_name(output.label_set) for output in outputs if output.kind == "projection"}
    single = heads.single_projections()
    used |= {name: values for name, values in single.items() if name.rpartition(".")[0] in projections}
    exporter = graph.about.metadata.get("exporter")
    for layer in (output.layer for output in outputs if output.kind == "units"):
        if exporter is not None and layer in heads.centroids:
            centroids, name = heads.centroids[layer], f"{CENTROIDS}{layer_name(layer)}"
            used |= centroid_constants(layer, centroids) if exporter == "graph" else {name: centroids}
    return used


def ported_weights(subject: Subject) -> tuple[EncoderConfig, dict[str, NDArray[np.float32]]]:
    """The TorchAudio port's config and weights. Raises InputError."""
    config = ported_config(subject)
    assert subject.torchaudio is not None  # noqa: S101 - else there is no config either
    return config, read_state_dict(subject.torchaudio, config)


def ported_config(subject: Subject) -> EncoderConfig:
    """The config beside the TorchAudio weights. Raises InputError where there is none."""
    if subject.torchaudio is None or subject.config is None:
        raise InputError(f"{subject.name}: TorchAudio weights without their config", hint=CONFIG)
    return EncoderConfig.read(subject.config)
