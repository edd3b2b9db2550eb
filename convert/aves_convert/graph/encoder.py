"""Writing the whole encoder as an ONNX graph, node by node: no tracing, no torch module.

The same weights give the same bytes on every Python, torch and numpy. Weights that need no computation keep the state
dict's names and values; nodes are named by their path: ``/encoder/transformer/layers.7/attention/k_proj/Gemm``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.graph_contract import EMBEDDINGS, LOGITS, PRODUCER, WAVEFORM, layer_name
from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.attention import FUSED_DOMAIN, attention_in
from aves_convert.graph.builder import GraphBuilder
from aves_convert.graph.extractor import write_channel, write_extractor
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph.sizes import Sizes
from aves_convert.graph.transformer import write_encoder, write_shapes

if TYPE_CHECKING:
    import torch

FIRST_OPSET = 15  # Shape can ask for a single axis from here on


def encoder_graph(
    config: EncoderConfig,
    state_dict: Mapping[str, NDArray[Any] | torch.Tensor],
    options: OnnxOptions = OnnxOptions(),
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> onnx.ModelProto:
    """Write the ONNX graph of an encoder node by node, whatever exporter ``options`` name; see ``write_graph``.

    Raises InputError with every missing, unknown or misshapen tensor, and for an opset that cannot be written.
    Source: ``torchaudio.models.wav2vec2.components``, of which this is the inference.
    """
    opset = options.opset
    newest = onnx.defs.onnx_opset_version()
    if not FIRST_OPSET <= opset <= newest:
        raise InputError(f"opset {opset} cannot be written; choose one from {FIRST_OPSET} to {newest}")
    graph = GraphBuilder(state_dict, options)
    sizes = Sizes(graph, config, write_channel(graph))
    features = write_extractor(graph, config, sizes)
    shapes = write_shapes(graph, config, sizes)
    each, final = write_encoder(graph, config, features, shapes, attention_in(options.attention, opset))
    outputs = {EMBEDDINGS: config.encoder_embed_dim}
    graph.node(EMBEDDINGS, "Reshape", final, shapes.sequence, output=EMBEDDINGS)
    for i, layer in enumerate(each if options.layers == "all" else []):
        name = layer_name(i)
        outputs[name] = config.encoder_embed_dim
        graph.node(name, "Reshape", graph.float32(layer), shapes.sequence, output=name)
    if config.aux_num_out is not None:
        outputs[LOGITS] = config.aux_num_out
        flat = graph.linear("aux", final, config.aux_num_out, config.encoder_embed_dim)
        graph.node(LOGITS, "Reshape", flat, sizes.shape(LOGITS, -1, config.aux_num_out), output=LOGITS)
    graph.check()
    domains = [helper.make_opsetid("", opset)]
    domains += [helper.make_opsetid(FUSED_DOMAIN, 1)] if options.attention == "fused" else []
    return _model(sizes, outputs, domains, metadata)


def _model(
    sizes: Sizes, outputs: Mapping[str, int], domains: list[onnx.OperatorSetIdProto], metadata: Mapping[str, str]
) -> onnx.ModelProto:
    """The graph with its input, its outputs (name -> size of the last axis), versions and metadata."""
    model, shape = sizes.graph.model, sizes.graph.options.fixed_shape or ("batch", "samples")
    waveform = helper.make_tensor_value_info(WAVEFORM, TensorProto.FLOAT, shape)
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [shape[0], sizes.frames(), size])
        for name, size in outputs.items()
    ]
    model.producer_name = PRODUCER
    # The oldest format that holds this opset: the newest would depend on the onnx that is installed.
    model.ir_version = helper.find_min_ir_version_for(domains[:1])
    model.opset_import.extend(domains)
    model.graph.name = "encoder"
    model.graph.input.append(waveform)
    model.graph.output.extend(values)
    helper.set_model_props(model, dict(sorted(metadata.items())))
    return model
