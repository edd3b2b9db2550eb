"""Catching every value inside TorchAudio's model, and inside an ONNX graph of any origin, while it runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from aves_artifacts.base.messages import first_line
from aves_verify.backends.backend import Embeddings, RunError
from aves_verify.explanation.points import FINAL, INPUT, Point

Values = Mapping[str, NDArray[Any]]


def torchaudio_values(run: Callable[[], Embeddings], model: torch.nn.Module, points: Sequence[Point]) -> Values:
    """Catch the values at ``points`` while ``run`` runs torchaudio's model; by module name, in their order.

    A point that the model does not have, or does not reach, is left out.
    """
    found: dict[str, NDArray[Any]] = {}
    modules = dict(model.named_modules())
    with ExitStack() as hooks:
        for point in points:
            module = modules.get(point.site.removesuffix(INPUT))
            if module is None:
                continue
            keep = _keep(found, point.site)
            if point.site.endswith(INPUT):
                hook = module.register_forward_pre_hook(lambda _m, inputs, keep=keep: keep(inputs))
            else:
                hook = module.register_forward_hook(lambda _m, _inputs, output, keep=keep: keep(output))
            hooks.callback(hook.remove)
        found[FINAL] = run()[FINAL]
    return {point.site: found[point.site] for point in points if point.site in found}


def _keep(found: dict[str, NDArray[Any]], site: str) -> Callable[[Any], None]:
    def keep(value: Any) -> None:
        tensor = value[0] if isinstance(value, tuple) else value
        found[site] = tensor.detach().numpy().copy()  # later operators may write over it

    return keep


def onnx_values(path: Path, waveform: NDArray[np.float32], sizes: Collection[int]) -> Values:
    """Compute every floating-point value of an ONNX graph on a waveform [batch, samples], in the order of its nodes.

    Only those of the given ``sizes`` (numbers of elements) are kept, and the first output under the name "final".
    Each value becomes an output of the graph, so ONNX Runtime fuses less than usual: the values are those of the graph
    as it is written. Raises RunError where it cannot be run.
    """
    model = onnx.load(str(path), load_external_data=False)
    existing = {output.name for output in model.graph.output}
    wanted = [name for node in model.graph.node for name in node.output if name and name not in existing]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        values = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(waveform)})
    except Exception as error:  # ONNX Runtime's exceptions have no common base but Exception
        raise RunError(f"{path}: ONNX Runtime does not run it: {first_line(error)}") from None
    values_by_name = dict(zip(names, values, strict=True))
    order = {name: i for i, name in enumerate(name for node in model.graph.node for name in node.output)}
    kept = {
        name: value
        for name, value in sorted(values_by_name.items(), key=lambda item: order.get(item[0], -1))
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size in sizes
    }
    return kept | {FINAL: values_by_name[model.graph.output[0].name]}
