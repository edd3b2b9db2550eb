"""Graphs in half precision and in eight bits: what they hold and compute, and that no processor cuts sums off."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, VARIANTS, clip, run, tiny, weights

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.graph_types import port_of_graph
from aves_convert.graph.build import write_graph
from aves_convert.graph.builder import in_half
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph.products import in_int8
from aves_convert.graph.transformer import products
from aves_convert.reduction.cost import cost

INT8, HALF, STORED = OnnxOptions(precision="int8"), OnnxOptions(precision="float16"), OnnxOptions(weights="float16")
SMALLER = {"onnx.int8": INT8, "onnx.float16": HALF, "onnx.float16-weights": STORED}
_PRODUCTS = ("Gemm", "MatMul", "Conv")


@pytest.mark.parametrize(("options", "snr"), [(INT8, 20), (HALF, 45), (STORED, 50)], ids=SMALLER)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_gives_the_same_outputs_at_a_small_cost(variant: str, options: OnnxOptions, snr: float) -> None:
    config = tiny(variant)
    state_dict = weights(config)
    waveform = clip(config.receptive_field + 40 * config.hop, 2, offset=0.1)
    plain = run(encoder_graph(config, state_dict, OnnxOptions(layers="all")), waveform)
    reduced = run(encoder_graph(config, state_dict, dataclasses.replace(options, layers="all")), waveform)
    assert list(reduced) == list(plain)
    for name in plain:
        assert reduced[name].dtype == np.float32
        assert cost(reduced[name], plain[name]).snr > snr


@pytest.mark.parametrize("change", [{"opset": 15}, {"opset": 18}, {"opset": 23}, {"attention": "fused"},
                                    {"fixed_shape": (2, 4000)}, {"channel_axis": True}], ids=str)  # fmt: skip
@pytest.mark.parametrize("options", SMALLER.values(), ids=SMALLER)
def test_it_goes_with_every_other_option(options: OnnxOptions, change: dict[str, object]) -> None:
    state_dict, waveform = weights(TINY), clip(4000, 2)
    chosen = dataclasses.replace(options, **change)
    if change.get("opset") == 23:  # an operator that not every ONNX Runtime has; the standard's own judge knows it
        write_graph(TINY, state_dict, chosen)
        return
    given = waveform[:, None] if chosen.channel_axis else waveform
    plain = run(encoder_graph(TINY, state_dict), waveform)["embeddings"]
    assert cost(run(write_graph(TINY, state_dict, chosen), given)["embeddings"], plain).snr > 20


@pytest.mark.parametrize(("port", "options"), SMALLER.items())
def test_a_graph_is_known_by_what_it_holds_and_has_the_same_bytes_again(
    port: str, options: OnnxOptions, tmp_path: object
) -> None:
    model = write_graph(TINY, weights(TINY), options, {"configuration": "x"})
    path = tmp_path / "x.onnx"  # type: ignore[operator]
    path.write_bytes(model.SerializeToString())
    assert port_of_graph(path) == port
    again = write_graph(TINY, weights(TINY), options, {"configuration": "x"})
    assert again.SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)
    says = {entry.key: entry.value for entry in model.metadata_props}
    assert (says["precision"], says.get("weights", "float32")) == (options.precision, options.weights)


def test_a_plain_graph_says_nothing_of_it(tmp_path: object) -> None:
    model = write_graph(TINY, weights(TINY))
    assert {"weights", "wide"}.isdisjoint(entry.key for entry in model.metadata_props)
    path = tmp_path / "x.onnx"  # type: ignore[operator]
    path.write_bytes(model.SerializeToString())
    assert port_of_graph(path) == "onnx"


def test_stored_in_half_precision_it_computes_what_the_rounded_weights_compute() -> None:
    rounded = {
        name: value.half().float() if value.ndim > 1 and "weight_" not in name and value.numel() > 256 else value
        for name, value in weights(TINY).items()
    }
    first = "feature_extractor.conv_layers.0.conv.weight"  # whose float32 statistics are worth more than its size
    rounded[first] = weights(TINY)[first]
    stored, plain = (
        encoder_graph(TINY, values, o) for values, o in ((weights(TINY), STORED), (rounded, OnnxOptions()))
    )
    kinds = {t.name: t.data_type for t in stored.graph.initializer}
    positional = "encoder.transformer.pos_conv_embed.conv.weight"  # folded before it is rounded
    (there,) = (t for t in plain.graph.initializer if t.name == positional)
    there.CopyFrom(
        numpy_helper.from_array(numpy_helper.to_array(there).astype(np.float16).astype(np.float32), positional)
    )
    assert kinds[positional] == TensorProto.FLOAT16
    waveform = clip(6000, 1)
    assert np.array_equal(run(stored, waveform)["embeddings"], run(plain, waveform)["embeddings"])


def test_in_half_precision_products_are_and_the_rest_is_not() -> None:
    model = onnx.shape_inference.infer_shapes(
        encoder_graph(TINY, weights(TINY), HALF), check_type=True, strict_mode=True
    )
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    kinds |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for node in model.graph.node:
        reads = {kinds.get(name, TensorProto.FLOAT) for name in node.input}
        first = node.name.startswith("/feature_extractor/conv_layers/0") or "conv_layers.0" in node.name
        projection = node.name.startswith("/encoder/feature_projection")
        if node.op_type in _PRODUCTS and not first and not projection:
            assert reads == {TensorProto.FLOAT16}, node.name
        elif node.op_type != "Cast":
            assert TensorProto.FLOAT16 not in reads, node.name


def test_all_wide_is_float32_and_some_wide_is_between() -> None:
    waveform, every = clip(6000, 1), products(TINY.encoder_num_layers)
    plain = run(encoder_graph(TINY, weights(TINY)), waveform)["embeddings"]
    found = [
        cost(
            run(encoder_graph(TINY, weights(TINY), OnnxOptions(precision="int8", wide=wide)), waveform)["embeddings"],
            plain,
        )
        for wide in ((), every[:-3], every)
    ]
    assert found[0].snr < found[1].snr < found[2].snr == np.inf


def test_metadata_names_what_is_wide() -> None:
    wide = products(TINY.encoder_num_layers)[::-2]
    model = write_graph(TINY, weights(TINY), OnnxOptions(precision="int8", wide=wide))
    (said,) = (entry.value for entry in model.metadata_props if entry.key == "wide")
    assert json.loads(said) == sorted(wide)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"wide": ("a.b",)}, "products that stay in float32, in a graph whose precision is float32"),
        ({"precision": "int8", "exporter": "torch"}, "a traced graph has no int8 precision"),
        ({"weights": "float16", "exporter": "torch"}, "a traced graph has its weights in float32"),
        ({"precision": "int8", "wide": ("a.b",)}, "no such product to keep in float32: a.b, expected one of encoder"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        write_graph(TINY, weights(TINY), OnnxOptions(**options))


matrices = st.tuples(st.integers(1, 6), st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from(("n", "t", "u")))


def drawn(shape: tuple[int, int, int, str]) -> NDArray[np.float32]:
    rows, columns, seed, kind = shape
    rng = np.random.default_rng(seed)
    values = {
        "n": rng.standard_normal((rows, columns)),
        "t": rng.standard_t(2, (rows, columns)),  # a few are far from all others
        "u": np.sign(rng.standard_normal((rows, columns))),  # neighbours are as large as they can be
    }[kind]
    return (values * 10.0 ** rng.uniform(-6, 3)).astype(np.float32)


@given(matrices)
@settings(max_examples=300, deadline=None)
def test_a_weight_is_off_by_half_a_step_at_most(shape: tuple[int, int, int, str]) -> None:
    weight = drawn(shape)
    rounded, scale = in_int8(weight)
    error = np.abs(rounded * scale[:, None].astype(np.float64) - weight) / scale[:, None]
    assert error.max() <= 0.5 + 1e-5
    assert (rounded.dtype, scale.dtype) == (np.int8, np.float32)


@given(matrices)
@settings(max_examples=300, deadline=None)
def test_no_sum_of_two_products_is_beyond_16_bits(shape: tuple[int, int, int, str]) -> None:
    """What VPMADDUBSW adds, for the frame that is worst for each pair; it is saturated at 16 bits."""
    rounded, _ = in_int8(drawn(shape))
    pairs = np.pad(rounded.astype(np.int64), ((0, 0), (0, rounded.shape[1] % 2))).reshape(len(rounded), -1, 2)
    highest = (255 * pairs.clip(min=0)).sum(axis=2)
    lowest = (255 * pairs.clip(max=0)).sum(axis=2)
    assert highest.max() <= 32767
    assert lowest.min() >= -32768


def test_a_row_of_zeros_and_a_single_column_are_rounded() -> None:
    rounded, scale = in_int8(np.zeros((2, 3), np.float32))
    assert not rounded.any()
    assert (scale > 0).all()
    assert in_int8(np.float32([[-2.0]]))[0].tolist() == [[-127]]


@pytest.mark.parametrize("value", [7e4, np.inf, np.nan, 1e-8])
def test_what_half_precision_cannot_hold_stays_float32(value: float) -> None:
    assert in_half(np.full((20, 20), value, np.float32)) is None
    state_dict = weights(TINY)
    name = "encoder.transformer.layers.1.attention.q_proj.weight"
    state_dict[name] = state_dict[name] * 0 + value
    kinds = {t.name: t.data_type for t in encoder_graph(TINY, state_dict, STORED).graph.initializer}
    assert kinds[name] == TensorProto.FLOAT
    assert kinds[name.replace("q_proj", "k_proj")] == TensorProto.FLOAT16
