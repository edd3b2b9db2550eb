"""The first convolution and its norm as one product: what offsets, levels and low sounds cost."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, assert_exact, clip, rms, run, torch_outputs, weights

from aves_convert.graph.group_norm import cosine_transform, in_basis
from aves_convert.graph.options import OnnxOptions, Precision

each_precision = pytest.mark.parametrize("precision", ["float32", "mixed"])


@pytest.mark.parametrize("size", [1, 2, 10, 64])
def test_the_transform_is_orthonormal_and_kernels_come_back(size: int) -> None:
    basis = cosine_transform(size).astype(np.float64)
    np.testing.assert_allclose(basis @ basis.T, np.eye(size), atol=1e-6)
    kernels = np.random.default_rng(0).standard_normal((7, size))
    np.testing.assert_allclose(in_basis(kernels) @ basis, kernels, atol=1e-13)  # although its entries are rounded


def test_one_position_alone_is_normalised_as_in_a_batch() -> None:
    """torch refuses to normalise a single value, unless it is one of several clips; what is left is the norm's bias."""
    config = dataclasses.replace(TINY, extractor_conv_layer_config=((7, 10, 5),))
    state_dict, waveform = weights(config), clip(10, 3, offset=0.3)
    model, exact = encoder_graph(config, state_dict), torch_outputs(config, state_dict, waveform.double())
    assert_exact(run(model, waveform), exact)
    assert_exact(run(model, waveform[:1]), {name: array[:1] for name, array in exact.items()})


@each_precision
@pytest.mark.parametrize("gain", [1.0, 1e-4, 1e-6, 10.0, 3e4])
@pytest.mark.parametrize("offset", [0.0, 0.1, -0.5])
def test_offsets_and_gains_cost_no_accuracy(offset: float, gain: float, precision: Precision) -> None:
    state_dict = weights(TINY)
    waveform = clip(8000, offset=offset, gain=0.1 * gain)
    exact = torch_outputs(TINY, state_dict, waveform.double())["embeddings"]
    model = encoder_graph(TINY, state_dict, OnnxOptions(precision=precision))
    error = rms(run(model, waveform)["embeddings"] - exact)
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


@pytest.mark.parametrize("samples", [60, 325, 330, 4_001, 10_245, 10_250])  # 11, 64, 65, 799, 2048 and 2049 positions
def test_of_a_known_length_no_convolution_that_cuts_blocks_leaves_zeros_out(samples: int) -> None:
    """One that gives a single position and does is what IREE does not compile."""
    state_dict, waveform = weights(TINY), clip(samples)
    model = encoder_graph(TINY, state_dict, OnnxOptions(fixed_shape=(1, samples)))
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    widths = {value.name: value.type.tensor_type.shape.dim[-1].dim_value for value in inferred.value_info}
    cutting = [node for node in model.graph.node if node.op_type == "Conv" and node.input[1].endswith("_kernel")]
    strides = {node.name: {each.name: list(each.ints) for each in node.attribute}["strides"][-1] for node in cutting}
    assert [strides[node.name] for node in cutting] == [64, 32]
    assert [widths[node.input[0]] % strides[node.name] for node in cutting] == [0, 0]
    anywhere = run(encoder_graph(TINY, state_dict), waveform)["embeddings"]
    np.testing.assert_array_equal(run(model, waveform)["embeddings"], anywhere)


def test_each_clip_of_a_batch_is_normalised_alone() -> None:
    model = encoder_graph(TINY, weights(TINY))
    loud, quiet = clip(3000, gain=1.0, offset=0.5), clip(3000, gain=1e-3)
    together = run(model, torch.cat([loud, quiet]))["embeddings"]
    for row, alone in zip(together, (loud, quiet), strict=True):
        np.testing.assert_allclose(row, run(model, alone)["embeddings"][0], rtol=1e-4, atol=1e-5)


def _low(samples: int) -> torch.Tensor:
    """A sound whose neighbouring samples are nearly equal, with a little noise, [1, samples]."""
    time = torch.arange(samples) / 16_000
    hum = 0.3 * torch.sin(2 * torch.pi * 30 * time) + 0.2 * torch.sin(2 * torch.pi * 47 * time)
    return (hum + 1e-3 * torch.randn(samples, generator=torch.Generator().manual_seed(5)))[None]


@each_precision
@pytest.mark.parametrize("samples", [1_600, 16_000])
def test_low_sounds_cost_no_accuracy(samples: int, precision: Precision) -> None:
    state_dict, waveform = weights(TINY), _low(samples)
    exact = torch_outputs(TINY, state_dict, waveform.double())["embeddings"]
    model = encoder_graph(TINY, state_dict, OnnxOptions(precision=precision))
    error = rms(run(model, waveform)["embeddings"] - exact)
    assert error < 1.5 * rms(torch_outputs(TINY, state_dict, waveform)["embeddings"] - exact)


def _narrowed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph as a runtime computes it that says double and means float32."""
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.DOUBLE:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == TensorProto.DOUBLE:
                attribute.i = TensorProto.FLOAT
    return model


@pytest.mark.parametrize("offset", [0.0, 0.1, -0.5])
def test_mixed_precision_is_right_where_double_is_not_double(offset: float) -> None:
    state_dict, waveform = weights(TINY), clip(16_000, offset=offset, gain=0.1)
    exact = torch_outputs(TINY, state_dict, waveform.double())["embeddings"]
    model = encoder_graph(TINY, state_dict, OnnxOptions(precision="mixed"))
    error = rms(run(_narrowed(model), waveform)["embeddings"] - exact)
    assert error < 2 * rms(torch_outputs(TINY, state_dict, waveform)["embeddings"] - exact)
