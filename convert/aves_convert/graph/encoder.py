"""Writing the whole encoder as an ONNX graph, node by node: no tracing, no torch module.

The same weights give the same bytes on every Python, torch and numpy. Weights that need no computation keep the state
dict's names and values; nodes are named by their path: ``/encoder/transformer/layers.7/attention/k_proj/Gemm``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from aves_artifacts.base.errors import InputError, raise_if_any
from aves_artifacts.base.messages import printable
from aves_artifacts.bundle.graph_contract import PRODUCER, WAVEFORM
from aves_artifacts.bundle.outputs import Output, OutputRecord
from aves_artifacts.encoder import EncoderConfig, encoder_shapes
from aves_convert.graph.attention import FUSED_DOMAIN, attention_in
from aves_convert.graph.builder import GraphBuilder
from aves_convert.graph.extractor import write_channel, write_extractor
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph.outputs import write_outputs
from aves_convert.graph.sizes import Sizes
from aves_convert.graph.transformer import depth_of, is_left_out, products, write_encoder, write_shapes
from aves_convert.graph_files.weighted import WeightedGraph
from aves_convert.weights.heads import NO_HEADS, Heads

if TYPE_CHECKING:
    import torch

FIRST_OPSET = 15  # Shape can ask for a single axis from here on


def weighted_encoder_graph(
    config: EncoderConfig,
    state_dict: Mapping[str, NDArray[Any] | torch.Tensor],
    options: OnnxOptions = OnnxOptions(),
    metadata: Mapping[str, str] = MappingProxyType({}),
    heads: Heads = NO_HEADS,
) -> WeightedGraph:
    """Write the ONNX graph of an encoder node by node, whatever exporter ``options`` name; see ``write_graph``.

    Layers after the last one that an output needs are not in it. Raises InputError with every missing, unknown or
    misshapen tensor, for an opset that cannot be written, and for outputs that the encoder has not.
    Source: ``torchaudio.models.wav2vec2.components``, of which this is the inference.
    """
    opset = options.opset
    newest = onnx.defs.onnx_opset_version()
    if not FIRST_OPSET <= opset <= newest:
        raise InputError(f"opset {opset} cannot be written; choose one from {FIRST_OPSET} to {newest}")
    outputs = options.graph_outputs(config, heads)
    depth = depth_of(outputs, config)
    check_wide(options.wide, products(depth.layers))
    graph = GraphBuilder(state_dict, options)
    sizes = Sizes(graph, config, write_channel(graph))
    features = write_extractor(graph, config, sizes)
    shapes = write_shapes(graph, config, sizes)
    encoded = write_encoder(graph, config, features, shapes, attention_in(options.attention, opset), depth)
    write_outputs(sizes, encoded, outputs, heads, shapes)
    for name, shape in encoder_shapes(config).items():
        aux = name.startswith("aux.") and Output("logits") not in outputs
        if aux or is_left_out(name, config, depth):
            graph.read(name, *shape)  # looked at nevertheless: a file that lacks it is not the config's
    graph.check()
    domains = [helper.make_opsetid("", opset)]
    domains += [helper.make_opsetid(FUSED_DOMAIN, 1)] if options.attention == "fused" else []
    _complete(sizes, [heads.record(output, config) for output in outputs], domains, metadata)
    return graph.weighted()


def check_wide(wide: Sequence[str], known: Sequence[str]) -> None:
    """Raise InputError where a product is to stay wide that the graph has not."""
    unknown = [name for name in wide if name not in known]
    raise_if_any(
        [f"{printable(name)}, expected one of {known[0]} to {known[-1]}" for name in unknown],
        "the graph has no such product to keep in float32",
    )


def _complete(
    sizes: Sizes, outputs: Sequence[OutputRecord], domains: list[onnx.OperatorSetIdProto], metadata: Mapping[str, str]
) -> None:
    """Give the graph its input, its outputs, versions and metadata."""
    model, shape = sizes.graph.model, sizes.graph.options.fixed_shape or ("batch", "samples")
    axes = (shape[0], 1, shape[1]) if sizes.graph.options.channel_axis else shape
    waveform = helper.make_tensor_value_info(WAVEFORM, TensorProto.FLOAT, axes)
    values = [
        helper.make_tensor_value_info(output.name, TensorProto.INT64, [shape[0], sizes.frames()])
        if output.dimension is None
        else helper.make_tensor_value_info(output.name, TensorProto.FLOAT, [shape[0], sizes.frames(), output.dimension])
        for output in outputs
    ]
    model.producer_name = PRODUCER
    # The oldest format that holds this opset: the newest would depend on the onnx that is installed.
    model.ir_version = helper.find_min_ir_version_for(domains[:1])
    model.opset_import.extend(domains)
    model.graph.name = "encoder"
    model.graph.input.append(waveform)
    model.graph.output.extend(values)
    helper.set_model_props(model, dict(sorted(metadata.items())))
