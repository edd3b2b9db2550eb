"""Making an ONNX graph from a config and TorchAudio weights, with its metadata, and checking it."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import onnx
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError, raise_if_any
from aves_artifacts.base.extras import need
from aves_artifacts.base.messages import first_line
from aves_artifacts.bundle.graph_contract import WAVEFORM
from aves_artifacts.bundle.outputs import OutputRecord
from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph_files.weighted import LARGEST_INSIDE, WeightedGraph
from aves_convert.weights.heads import NO_HEADS, Heads

if TYPE_CHECKING:
    import torch

# What a graph of an encoder in evaluation mode must not hold: it would answer differently every time.
RANDOM_OPERATORS = frozenset(
    ("Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
)


def write_graph(
    config: EncoderConfig,
    state_dict: Mapping[str, NDArray[Any] | torch.Tensor],
    options: OnnxOptions = OnnxOptions(),
    metadata: Mapping[str, str] = MappingProxyType({}),
    heads: Heads = NO_HEADS,
) -> onnx.ModelProto:
    """Make the ONNX graph of an encoder from its geometry and its TorchAudio weights, and check it.

    The graph maps ``waveform`` [batch, samples] to ``embeddings`` [batch, frames, dim], which is what fairseq's
    ``extract_features`` returns; with ``layers="all"`` also to ``layer.0``, ``layer.1``, …, each layer's output; with a
    CTC head also to ``logits`` [batch, frames, aux_num_out]. With ``outputs`` it gives those: projections
    [batch, frames, numbers] and units, int64 [batch, frames], are made of ``heads``. ``metadata`` becomes the model's
    ``metadata_props``. The weights have the names of the ``weight_g``/``weight_v`` dialect, as ``read_state_dict``
    gives them.

    Raises InputError with every missing, unknown or misshapen tensor, for an opset that cannot be written, for outputs
    that the encoder has not, and where the graph is not what the contract promises.
    """
    return weighted_graph(config, state_dict, options, metadata, heads).proto()


def weighted_graph(
    config: EncoderConfig,
    state_dict: Mapping[str, NDArray[Any] | torch.Tensor],
    options: OnnxOptions = OnnxOptions(),
    metadata: Mapping[str, str] = MappingProxyType({}),
    heads: Heads = NO_HEADS,
) -> WeightedGraph:
    """Make the same graph as ``write_graph``, and check it; for who writes it to a file, as weights are not copied."""
    if options.fixed_shape is not None:
        _check_fixed_shape(config, *options.fixed_shape)
    outputs = options.graph_outputs(config, heads)
    metadata = {
        **metadata,
        "exporter": options.exporter,
        "attention": options.attention,
        **({"channel_axis": "true"} if options.channel_axis else {}),
        **_given([heads.record(output, config) for output in outputs], options),
        "precision": options.precision,
        **({"weights": options.weights} if options.weights != "float32" else {}),
        **({"wide": json.dumps(sorted(options.wide))} if options.wide else {}),
    }
    if options.exporter == "graph":
        from aves_convert.graph.encoder import weighted_encoder_graph

        graph = weighted_encoder_graph(config, state_dict, options, metadata, heads)
    else:
        graph = WeightedGraph(_exported(config, state_dict, options, metadata, heads), {})
    names = tuple(output.name for output in outputs)
    problems = list(
        contract_problems(graph.model, names, fixed=options.fixed_shape is not None, beside=graph.arrays.keys())
    )
    if problems:
        raise InputError(*(f"the {options.exporter} exporter's graph is not fit for use: {p}" for p in problems))
    return graph


def _given(outputs: Sequence[OutputRecord], options: OnnxOptions) -> dict[str, str]:
    """What the metadata says of the outputs; of those that are there by default no more than that."""
    told: dict[str, str] = {} if options.outputs else {"layers": options.layers}
    if options.outputs or options.layers == "all":
        told["outputs"] = json.dumps([asdict(output) for output in outputs], ensure_ascii=False)
    return told


def _check_fixed_shape(config: EncoderConfig, batch: int, samples: int) -> None:
    problems = []
    if batch < 1:
        problems.append(f"a fixed batch of {batch} waveforms; give 1 or more with {{fixed_batch}}")
    if config.frames(samples) < 1:
        problems.append(
            f"waveforms of {samples} samples give no frame; this encoder needs {config.receptive_field} or more: give "
            "them with {fixed_length}"
        )
    raise_if_any(problems, "no graph of a fixed shape")


def contract_problems(
    model: onnx.ModelProto, outputs: tuple[str, ...], *, fixed: bool = False, beside: Collection[str] = ()
) -> Iterator[str]:
    """Tell everything in which a graph breaks the contract: inputs, outputs, dynamic axes, random operators.

    Of a graph of a ``fixed`` shape all axes must be. The values of the initializers of these names lie ``beside`` it.
    """
    if [i.name for i in model.graph.input] != [WAVEFORM]:
        yield f"inputs are {[i.name for i in model.graph.input]}, expected {[WAVEFORM]}"
    if tuple(o.name for o in model.graph.output) != outputs:
        yield f"outputs are {[o.name for o in model.graph.output]}, expected {list(outputs)}"
    for value in (*model.graph.input, *model.graph.output):
        axes = value.type.tensor_type.shape.dim
        free = (axes[0], axes[-1]) if value.name == WAVEFORM else axes[:2]
        known = [axis.dim_value for axis in free if axis.HasField("dim_value")]
        if known and not fixed:
            yield f"{value.name} has fixed axes {known}, expected dynamic batch and time"
        if fixed and not all(axis.HasField("dim_value") for axis in axes):
            yield f"{value.name} has dynamic axes, expected fixed ones"
    random = sorted({node.op_type for node in model.graph.node} & RANDOM_OPERATORS)
    if random:
        yield f"random operators {random}: the model was not in evaluation mode"
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        yield "weights lie outside the file"
    try:
        for tensor in model.graph.initializer:
            if tensor.name not in beside:
                onnx.checker.check_tensor(tensor)
        onnx.checker.check_model(_without_weights(model), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        yield f"onnx.checker: {first_line(error)}"


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its weights as inputs: the checker takes no model of 2 GB, and copies smaller ones several times.

    Small constants stay, as shapes are inferred from them.
    """
    bare = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    bare.metadata_props.extend(model.metadata_props)
    graph = model.graph
    bare.graph.CopyFrom(
        onnx.GraphProto(
            name=graph.name, node=graph.node, input=graph.input, output=graph.output, value_info=graph.value_info
        )
    )
    for tensor in graph.initializer:
        if math.prod(tensor.dims) <= LARGEST_INSIDE:
            bare.graph.initializer.append(tensor)
        else:
            bare.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return bare


def _exported(
    config: EncoderConfig,
    state_dict: Mapping[str, NDArray[Any] | torch.Tensor],
    options: OnnxOptions,
    metadata: Mapping[str, str],
    heads: Heads,
) -> onnx.ModelProto:
    if options.attention != "standard":
        raise InputError("a traced graph has no fused attention", hint="{attention} fused needs {exporter} graph")
    if options.precision != "float32":
        raise InputError(
            f"a traced graph has no {options.precision} precision",
            hint=f"{{precision}} {options.precision} needs {{exporter}} graph",
        )
    if options.weights != "float32":
        raise InputError("a traced graph has its weights in float32", hint="{weights} float16 needs {exporter} graph")
    need("tracing a graph", "torch-export")
    from aves_convert.graph.torch_export import torch_export

    with tempfile.TemporaryDirectory(prefix="aves-export-") as folder:
        model = torch_export(config, state_dict, options, Path(folder) / "exported.onnx", heads)
    onnx.helper.set_model_props(model, dict(sorted(metadata.items())))
    return model
