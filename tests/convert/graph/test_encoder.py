"""The graph against TorchAudio's model in float64, on tiny models of every variant."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, VARIANTS, assert_exact, clip, run, tiny, torch_outputs, weights

from aves_artifacts.base.errors import InputError
from aves_convert.graph.encoder import FIRST_OPSET
from aves_convert.graph.options import OnnxOptions

_TINY_MODEL = encoder_graph(TINY, weights(TINY))


MIXED = OnnxOptions(precision="mixed")


@pytest.mark.parametrize("options", [OnnxOptions(), OnnxOptions(attention="fused"), MIXED])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_output_is_the_float64_models(variant: str, options: OnnxOptions) -> None:
    config = tiny(variant)
    state_dict = weights(config)
    model = encoder_graph(config, state_dict, dataclasses.replace(options, layers="all"))
    field, hop = config.receptive_field, config.hop
    for batch, samples in ((1, field), (1, field + 9 * hop), (3, field + 10 * hop + 7), (2, field + 40 * hop)):
        waveform = clip(samples, batch, offset=0.3)
        found = run(model, waveform)
        assert_exact(found, torch_outputs(config, state_dict, waveform.double()))
        assert found["embeddings"].shape == (batch, config.frames(samples), config.encoder_embed_dim)


def test_outputs_are_named_and_the_final_one_comes_first() -> None:
    config = tiny("ctc-head")
    every = [output.name for output in encoder_graph(config, weights(config), OnnxOptions(layers="all")).graph.output]
    assert every == ["embeddings", "layer.0", "layer.1", "layer.2", "logits"]
    last = [output.name for output in encoder_graph(config, weights(config)).graph.output]
    assert last == ["embeddings", "logits"]


@pytest.mark.parametrize("opset", [FIRST_OPSET - 1, onnx.defs.onnx_opset_version() + 1])
def test_an_opset_that_cannot_be_written_is_refused(opset: int) -> None:
    with pytest.raises(InputError, match=f"opset {opset} cannot be written; choose one from 15 to"):
        encoder_graph(TINY, weights(TINY), OnnxOptions(opset=opset))


def test_axes_have_names_and_inference_finds_nothing_else() -> None:
    config = tiny("ctc-head")
    model = encoder_graph(config, weights(config), OnnxOptions(layers="all"))
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)

    def axes(value: onnx.ValueInfoProto) -> list[str | int]:
        return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]

    assert axes(inferred.graph.input[0]) == ["batch", "samples"]
    assert axes(inferred.graph.output[0]) == ["batch", "frames", 24]
    assert axes(inferred.graph.output[-1]) == ["batch", "frames", 5]


def test_only_standard_operators_unless_attention_is_fused() -> None:
    domains = {node.domain for node in encoder_graph(TINY, weights(TINY)).graph.node}
    assert domains == {""}
    fused = encoder_graph(TINY, weights(TINY), OnnxOptions(attention="fused"))
    assert [node.op_type for node in fused.graph.node if node.domain == "com.microsoft"] == ["MultiHeadAttention"] * 3


def test_names_lead_to_the_weights() -> None:
    model = encoder_graph(TINY, weights(TINY))
    nodes = {node.name: node for node in model.graph.node}
    assert len(nodes) == len(model.graph.node)
    key = nodes["/encoder/transformer/layers.2/attention/k_proj/Gemm"]
    assert key.input[1:] == [f"encoder.transformer.layers.2.attention.k_proj.{part}" for part in ("weight", "bias")]
    initializers = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for name in key.input[1:]:
        np.testing.assert_array_equal(initializers[name], weights(TINY)[name].numpy())


_TINY_MODEL = encoder_graph(TINY, weights(TINY))


@pytest.mark.parametrize("options", [OnnxOptions(), OnnxOptions(attention="fused"), MIXED])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_name_is_the_only_one_and_a_path(variant: str, options: OnnxOptions) -> None:
    config = tiny(variant)
    graph = encoder_graph(config, weights(config), dataclasses.replace(options, layers="all")).graph
    values = [output for node in graph.node for output in node.output] + [tensor.name for tensor in graph.initializer]
    for names in ([node.name for node in graph.node], values):
        assert len(set(names)) == len(names)
    for node in graph.node:
        assert re.fullmatch(r"(/[A-Za-z]\w*(\.\d+)*)+/[A-Z]\w+", node.name), node.name
    used = {name for node in graph.node for name in node.input}
    assert {tensor.name for tensor in graph.initializer} <= used


@pytest.mark.parametrize(
    ("variant", "convolutions"),
    [("base", [3]), ("one-layer", [3]), ("no-overlap", [2, 3]), ("two-convolutions", []), ("one-convolution", [])],
)
def test_what_is_small_is_in_float64_with_mixed_precision(variant: str, convolutions: list[int]) -> None:
    """Up to two last convolutions whose kernels do not overlap, the projection, and the last layers' norms and sums."""
    config = dataclasses.replace(tiny(variant), extractor_mode="group_norm")
    double = _of_type(encoder_graph(config, weights(config), MIXED), onnx.TensorProto.DOUBLE)
    products = [node.name.rsplit("/", 1)[0] for node in double if node.op_type in ("MatMul", "Gemm", "Conv")]
    assert products == [
        "/feature_extractor/conv_layers.0/layer_norm",
        *(f"/feature_extractor/conv_layers.{i}/conv" for i in convolutions),
        "/encoder/feature_projection/projection",
    ]
    names = {node.name for node in double}
    parts = ("attended/Add", "Add", "layer_norm/Sub", "final_layer_norm/Sub")
    layers = range(config.encoder_num_layers)
    paths = [{f"/encoder/transformer/layers.{i}/{part}" for part in parts} for i in layers]
    half = len(paths) // 2  # of three layers the last two are in float64
    for earlier in paths[:half]:
        assert not names & earlier
    for later in paths[half:]:
        assert names >= later
    assert "/encoder/transformer/Add" not in names


def _of_type(model: onnx.ModelProto, kind: int) -> list[onnx.NodeProto]:
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
    assert types.keys() >= {output for node in graph.node for output in node.output}
    return [node for node in graph.node if types[node.output[0]] == kind]


@pytest.mark.parametrize("attention", ["standard", "fused"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_by_default_nothing_is_in_float64(variant: str, attention: Any) -> None:
    config = tiny(variant)
    model = encoder_graph(config, weights(config), OnnxOptions(layers="all", attention=attention, opset=18))
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    assert kinds == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    if attention == "standard":  # onnx infers nothing behind an operator that is not its own
        assert not _of_type(model, onnx.TensorProto.DOUBLE)


@pytest.mark.parametrize("options", [OnnxOptions(), MIXED])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_convolution_tells_all_its_attributes_and_its_weight_is_an_initializer(
    variant: str, options: OnnxOptions
) -> None:
    config = tiny(variant)
    graph = encoder_graph(config, weights(config), options).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for node in (node for node in graph.node if node.op_type == "Conv"):
        told = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        assert told.keys() == {"kernel_shape", "strides", "dilations", "pads", "group"}
        assert told["kernel_shape"] == shapes[node.input[1]][2:]
        assert [len(told[name]) for name in ("kernel_shape", "strides", "dilations", "pads")] == [2, 2, 2, 4]


@settings(max_examples=20)
@given(samples=st.integers(60, 3000), batch=st.integers(1, 3))
def test_frames_are_the_configs(samples: int, batch: int) -> None:
    found = run(_TINY_MODEL, clip(samples, batch))["embeddings"]
    assert found.shape == (batch, TINY.frames(samples), 24)


def test_metadata_is_the_callers_in_order_of_name() -> None:
    model = encoder_graph(TINY, weights(TINY), metadata={"sample_rate": "16000", "hop": "40"})
    assert [(entry.key, entry.value) for entry in model.metadata_props] == [("hop", "40"), ("sample_rate", "16000")]
    assert model.producer_name == "aves-convert"
