"""Catching every value inside a model in torch, and inside an ONNX graph of any origin, while it runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aves_artifacts.base.messages import printable
from aves_artifacts.bundle.outputs import GraphOutputs
from aves_verify.audit.graph_values import traced
from aves_verify.backends.backend import Embeddings, RunError
from aves_verify.explanation.points import INPUT, Point

Values = Mapping[str, NDArray[Any]]


def torch_values(
    run: Callable[[], Embeddings],
    model: torch.nn.Module,
    points: Sequence[Point],
    called: Callable[[str], str] = str,
) -> Values:
    """Catch the values at ``points`` while ``run`` runs a model in torch; by TorchAudio's module names, in their order.

    ``called``: what the model calls the module of such a name, where it is not torchaudio's.
    A point that the model does not have, or does not reach, is left out.
    """
    found: dict[str, NDArray[Any]] = {}
    modules = dict(model.named_modules())
    with ExitStack() as hooks:
        for point in points:
            module = modules.get(called(point.site.removesuffix(INPUT)))
            if module is None:
                continue
            keep = _keep(found, point.site)
            if point.site.endswith(INPUT):
                hook = module.register_forward_pre_hook(lambda _m, inputs, keep=keep: keep(inputs))
            else:
                hook = module.register_forward_hook(lambda _m, _inputs, output, keep=keep: keep(output))
            hooks.callback(hook.remove)
        found |= run()
    return {point.site: found[point.site] for point in points if point.site in found}


def _keep(found: dict[str, NDArray[Any]], site: str) -> Callable[[Any], None]:
    def keep(value: Any) -> None:
        tensor = value[0] if isinstance(value, tuple) else value
        found[site] = tensor.detach().numpy().copy()  # later operators may write over it

    return keep


def onnx_values(path: Path, waveform: NDArray[np.float32], sizes: Collection[int]) -> Values:
    """Compute every floating-point value of an ONNX graph on a waveform [batch, samples], in the order of its nodes.

    Only those of the given ``sizes`` (numbers of elements) are kept, and what the graph gives, under the names that a
    backend has for it, such as "final". Raises RunError where it cannot be run, or that cannot be read.
    """
    graph = traced(path, waveform)
    arrays = graph.values[0].arrays
    names = [name for node in graph.nodes for name in node.output if name in arrays]
    kept = {name: arrays[name] for name in names if arrays[name].dtype.kind == "f" and arrays[name].size in sizes}
    given = GraphOutputs(graph.outputs).called
    unreadable = [name for name in given.values() if name not in arrays]
    if unreadable:
        raise RunError(f"{path}: its output {printable(unreadable[0])} cannot be read")
    return {name: value for name, value in kept.items() if name not in given} | {
        site: arrays[name] for site, name in given.items()
    }
