"""The graph against TorchAudio's model in float64, on tiny models of every variant."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.tiny_encoders import TINY, VARIANTS, assert_exact, clip, rms, run, tiny, torch_outputs, weights

from aves_artifacts.base.errors import InputError
from aves_convert.graph.encoder import FIRST_OPSET, encoder_graph
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph.transformer import folded_weight_norm


@pytest.mark.parametrize("attention", ["standard", "fused"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_output_is_the_float64_models(variant: str, attention: Any) -> None:
    config = tiny(variant)
    state_dict = weights(config)
    model = encoder_graph(config, state_dict, OnnxOptions(layers="all", attention=attention))
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
    with pytest.raises(InputError, match=f"opset {opset} cannot be written; choose one from 17 to"):
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


@pytest.mark.parametrize("attention", ["standard", "fused"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_name_is_the_only_one_and_a_path(variant: str, attention: Any) -> None:
    config = tiny(variant)
    graph = encoder_graph(config, weights(config), OnnxOptions(layers="all", attention=attention)).graph
    values = [output for node in graph.node for output in node.output] + [tensor.name for tensor in graph.initializer]
    for names in ([node.name for node in graph.node], values):
        assert len(set(names)) == len(names)
    for node in graph.node:
        assert re.fullmatch(r"(/[A-Za-z]\w*(\.\d+)*)+/[A-Z]\w+", node.name), node.name
    used = {name for node in graph.node for name in node.input}
    assert {tensor.name for tensor in graph.initializer} <= used


def test_a_first_kernel_that_no_encoder_has_is_refused() -> None:
    layers = ((4, 2**20, 1), *TINY.extractor_conv_layer_config[1:])
    config = dataclasses.replace(TINY, extractor_conv_layer_config=layers)
    with pytest.raises(InputError, match="1048576 samples; the graph of a group norm is written up to 2048"):
        encoder_graph(config, {})


@pytest.mark.parametrize(
    ("variant", "convolutions"),
    [("base", [3]), ("one-layer", [3]), ("no-overlap", [2, 3]), ("two-convolutions", []), ("one-convolution", [])],
)
def test_what_is_small_is_in_float64(variant: str, convolutions: list[int]) -> None:
    """Up to two last convolutions whose kernels do not overlap, the projection, and the last layers' norms and sums."""
    config = dataclasses.replace(tiny(variant), extractor_mode="group_norm")
    graph = onnx.shape_inference.infer_shapes(encoder_graph(config, weights(config))).graph
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    double = [node for node in graph.node if types.get(node.output[0]) == onnx.TensorProto.DOUBLE]
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


@pytest.mark.parametrize(("layers", "first"), [(1, 0), (2, 1), (3, 1), (12, 6)])
def test_the_last_half_of_the_layers_is_in_float64(layers: int, first: int) -> None:
    config = dataclasses.replace(TINY, encoder_num_layers=layers)
    names = {node.name for node in encoder_graph(config, weights(config)).graph.node}
    found = [i for i in range(layers) if f"/encoder/transformer/layers.{i}/layer_norm/Sub" in names]
    assert found == list(range(first, layers))


def test_a_convolutions_own_norm_is_in_float64_where_it_is() -> None:
    config = tiny("no-overlap-layer-norm")
    names = {node.name for node in encoder_graph(config, weights(config)).graph.node}
    assert [i for i in range(3) if f"/feature_extractor/conv_layers.{i}/layer_norm/Sub" in names] == [1, 2]


def test_attention_is_the_standards_operator_where_it_has_one() -> None:
    """Spelled out before that; fused only where that is asked for."""
    cases = {(22, "standard"): "Softmax", (23, "standard"): "Attention", (23, "fused"): "MultiHeadAttention"}
    for (opset, attention), operator in cases.items():
        nodes = encoder_graph(TINY, weights(TINY), OnnxOptions(opset=opset, attention=attention)).graph.node  # type: ignore[arg-type]
        found = [node.name for node in nodes if node.op_type in cases.values()]
        layers = [f"/encoder/transformer/layers.{i}" for i in range(TINY.encoder_num_layers)]
        assert found == [f"{layer}/attention/{operator}" for layer in layers]


def test_one_position_alone_is_normalised_as_in_a_batch() -> None:
    """torch refuses to normalise a single value, unless it is one of several clips; what is left is the norm's bias."""
    config = dataclasses.replace(TINY, extractor_conv_layer_config=((7, 10, 5),))
    state_dict, waveform = weights(config), clip(10, 3, offset=0.3)
    model, exact = encoder_graph(config, state_dict), torch_outputs(config, state_dict, waveform.double())
    assert_exact(run(model, waveform), exact)
    assert_exact(run(model, waveform[:1]), {name: array[:1] for name, array in exact.items()})


@pytest.mark.parametrize("gain", [1.0, 1e-4, 1e-6, 10.0, 3e4])
@pytest.mark.parametrize("offset", [0.0, 0.1, -0.5])
def test_offsets_and_gains_cost_no_accuracy(offset: float, gain: float) -> None:
    state_dict = weights(TINY)
    waveform = clip(8000, offset=offset, gain=0.1 * gain)
    exact = torch_outputs(TINY, state_dict, waveform.double())["embeddings"]
    error = rms(run(encoder_graph(TINY, state_dict), waveform)["embeddings"] - exact)
    ordinary = rms(
        torch_outputs(TINY, state_dict, clip(8000).float())["embeddings"]
        - torch_outputs(TINY, state_dict, clip(8000).double())["embeddings"]
    )
    assert error < 1.5 * ordinary  # whatever the recording's level: no worse than torch on a clip of ordinary level


@pytest.mark.parametrize("level", [0.0, 0.25, 1e-30, 1e30])
def test_a_constant_waveform_gives_what_silence_gives(level: float) -> None:
    state_dict = weights(TINY)
    model = encoder_graph(TINY, state_dict)
    silence = run(model, torch.zeros(1, 2000))["embeddings"]
    np.testing.assert_array_equal(run(model, torch.full((1, 2000), level))["embeddings"], silence)
    exact = torch_outputs(TINY, state_dict, torch.zeros(1, 2000, dtype=torch.float64))
    assert_exact({"embeddings": silence}, exact)


def test_each_clip_of_a_batch_is_normalised_alone() -> None:
    model = encoder_graph(TINY, weights(TINY))
    loud, quiet = clip(3000, gain=1.0, offset=0.5), clip(3000, gain=1e-3)
    together = run(model, torch.cat([loud, quiet]))["embeddings"]
    for row, alone in zip(together, (loud, quiet), strict=True):
        np.testing.assert_allclose(row, run(model, alone)["embeddings"][0], rtol=1e-4, atol=1e-5)


@settings(max_examples=20)
@given(samples=st.integers(60, 3000), batch=st.integers(1, 3))
def test_frames_are_the_configs(samples: int, batch: int) -> None:
    found = run(_TINY_MODEL, clip(samples, batch))["embeddings"]
    assert found.shape == (batch, TINY.frames(samples), 24)


# float8 came with torch 2.1
_SHORT = [getattr(torch, name) for name in ("float16", "bfloat16", "float8_e4m3fn") if hasattr(torch, name)]
_TINY_MODEL = encoder_graph(TINY, weights(TINY))


def test_weight_norm_is_folded_in_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    v, g = torch.randn(24, 6, 16, generator=generator), torch.rand(1, 1, 16, generator=generator)
    exact = (g.double() * v.double() / v.double().norm(dim=(0, 1), keepdim=True)).numpy()
    np.testing.assert_array_equal(folded_weight_norm(g.numpy(), v.numpy()), exact.astype(np.float32))


def test_every_problem_of_the_weights_is_listed() -> None:
    state_dict: dict[str, Any] = dict(weights(TINY))
    del state_dict["encoder.transformer.layers.1.attention.k_proj.weight"]
    state_dict["mask_emb"] = torch.zeros(24)
    state_dict["encoder.transformer.layer_norm.bias"] = torch.zeros(23)
    state_dict["encoder.transformer.layer_norm.weight"] = torch.ones(24, dtype=torch.float64)
    with pytest.raises(InputError) as caught:
        encoder_graph(TINY, state_dict)
    message = str(caught.value)
    assert "missing encoder.transformer.layers.1.attention.k_proj.weight" in message
    assert "unknown mask_emb" in message
    assert "encoder.transformer.layer_norm.bias has shape [23], expected [24]" in message
    assert "encoder.transformer.layer_norm.weight is float64, expected float32" in message
    assert "\n" not in message


def test_a_conv_bias_that_the_norm_cancels_is_still_accounted_for() -> None:
    config = tiny("conv-bias")
    state_dict = weights(config)
    del state_dict["feature_extractor.conv_layers.0.conv.bias"]
    with pytest.raises(InputError, match=r"missing feature_extractor\.conv_layers\.0\.conv\.bias"):
        encoder_graph(config, state_dict)


def test_a_long_list_of_problems_is_cut() -> None:
    with pytest.raises(InputError, match=r"and \d+ more"):
        encoder_graph(TINY, {})


@pytest.mark.parametrize("dtype", _SHORT)
def test_lower_precision_is_widened_exactly(dtype: torch.dtype) -> None:
    halves = {name: tensor.to(dtype) for name, tensor in weights(TINY).items()}
    widened = {name: tensor.float() for name, tensor in halves.items()}
    assert encoder_graph(TINY, halves) == encoder_graph(TINY, widened)


def test_numpy_arrays_do_as_well() -> None:
    arrays = {name: tensor.numpy() for name, tensor in weights(TINY).items()}
    assert encoder_graph(TINY, arrays) == encoder_graph(TINY, weights(TINY))


def test_metadata_is_the_callers_in_order_of_name() -> None:
    model = encoder_graph(TINY, weights(TINY), metadata={"sample_rate": "16000", "hop": "40"})
    assert [(entry.key, entry.value) for entry in model.metadata_props] == [("hop", "40"), ("sample_rate", "16000")]
    assert model.producer_name == "aves-convert"


def test_the_order_of_the_state_dict_does_not_matter() -> None:
    state_dict = weights(TINY)
    backwards = dict(reversed(state_dict.items()))
    first, second = encoder_graph(TINY, state_dict), encoder_graph(TINY, backwards)
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)
