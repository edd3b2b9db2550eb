"""Weights sought in a graph by value: found whatever an export does to them, and what is not theirs is told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, weights

from aves_convert.graph.options import OnnxOptions
from aves_convert.graph.torch_export import torch_export
from aves_convert.graph_files.constants import GraphConstant, graph_constants
from aves_verify.comparison.weight_search import onnx_weights, search_weights

Floats = NDArray[np.float32]
RNG = np.random.default_rng(5)
LAYER = "encoder.transformer.layers.{}.attention.{}"


def drawn(*shape: int) -> Floats:
    return RNG.normal(size=shape).astype(np.float32)


def original() -> dict[str, Floats]:
    """Every tensor has values of its own: those of a fresh model are zeros and ones, which are everywhere."""
    return {name: drawn(*tensor.shape) for name, tensor in weights(TINY).items()}


@pytest.fixture
def state() -> dict[str, Floats]:
    return original()


def saved(path: Path, state: dict[str, Floats]) -> Path:
    onnx.save(encoder_graph(TINY, state), path)
    return path


def exported(path: Path, state: dict[str, Floats]) -> Path:
    onnx.save(torch_export(TINY, state, OnnxOptions(exporter="torch"), path.with_suffix(".tmp")), path)
    return path


def held(name: str, values: NDArray[np.generic], readers: int = 1) -> GraphConstant:
    return GraphConstant(name, values, readers)


ARRANGED: dict[str, Callable[[Floats], NDArray[np.generic]]] = {
    "as it is": lambda w: w,
    "transposed": lambda w: w.T,
    "with axes of size 1": lambda w: w[:, None, :, None],
    "in one row": lambda w: w.reshape(1, -1),
    "transposed in one row": lambda w: w.T.reshape(-1),
    "joined with others": lambda w: np.concatenate([drawn(8, 6), w, drawn(8, 6)]),
    "joined and transposed": lambda w: np.concatenate([drawn(8, 6), w]).T,
    "padded": lambda w: np.pad(w, ((0, 0), (0, 3))),
    "in float64": lambda w: w.astype(np.float64),
}


@pytest.mark.parametrize("how", ARRANGED)
def test_a_weight_is_found(how: str) -> None:
    weight = drawn(8, 6)
    found = search_weights({"w": weight}, [held("any", ARRANGED[how](weight)), held("other", drawn(5))])
    assert (found.found, found.missing, found.problems) == (1, (), ())


@pytest.mark.parametrize("how", ARRANGED)
def test_a_changed_element_is_not_found(how: str) -> None:
    weight = drawn(8, 6)
    changed = weight.copy()
    changed[3, 2] = np.nextafter(changed[3, 2], np.float32(9))
    found = search_weights({"w": weight}, [held("any", ARRANGED[how](changed))])
    assert found.found == 0
    assert found.missing == ("w",) or "w is not in the graph" in found.problems[0]


@pytest.mark.parametrize("block", [4, 8, 16])
def test_a_convolution_in_blocks_of_channels_is_found(block: int) -> None:
    weight = drawn(32, 16, 3)
    blocked = weight.reshape(32 // block, block, 16 // block, block, 3).transpose(0, 2, 4, 3, 1)
    assert search_weights({"w": weight}, [held("reorder", blocked.reshape(32, 16, 3, 1))]).found == 1


def test_a_folded_weight_norm_is_found_and_another_is_not() -> None:
    state = {"conv.weight_g": drawn(1, 1, 5), "conv.weight_v": drawn(6, 3, 5)}
    g, v = state.values()
    folded = v * (g / np.sqrt((v * v).sum(axis=(0, 1), keepdims=True)))
    assert search_weights(state, [held("weight", folded)]).found == 2
    changed = search_weights(state, [held("weight", folded * np.float32(1.001))])
    assert changed.found == 0
    assert any("weight_v is not in the graph: weight in its place" in problem for problem in changed.problems)


def test_norms_may_be_summed_as_carelessly_as_float32_is() -> None:
    """One number after the other, over 768 * 48 of them; a factor for each place of the kernel."""
    state = {"conv.weight_g": drawn(1, 1, 4), "conv.weight_v": drawn(768, 48, 4)}
    g, v = state.values()
    careless = np.sqrt(np.cumsum((v * v).reshape(-1, 4), axis=0, dtype=np.float32)[-1])
    folded = v * (g / careless)
    exact = v * (g / np.sqrt((v.astype(np.float64) ** 2).sum(axis=(0, 1))))
    assert np.abs(folded - exact).max() > 2e-7 * np.abs(exact).max()
    assert search_weights(state, [held("weight", folded)]).found == 2
    for place in (np.s_[0, 0, 0], np.s_[..., 0]):
        changed = folded.copy()
        changed[place] *= np.float32(1.0001)
        assert search_weights(state, [held("weight", changed)]).found == 0


def test_what_nothing_reads_is_told() -> None:
    weight = drawn(4, 4)
    found = search_weights({"w": weight}, [held("w", weight, 0), held("zeros", np.zeros((4, 4), np.float32))])
    assert found.problems == ("w is in the file, and nothing that leads to an output reads it",)


def test_equal_weights_are_used_as_often_as_there_are() -> None:
    state = {"a": drawn(6), "b": drawn(4)}
    state["c"] = state["a"].copy()
    shared = [held("one", state["a"], 2), held("b", state["b"])]
    assert search_weights(state, shared).found == 3
    once = search_weights(state, [held("one", state["a"], 1), held("b", state["b"])])
    assert once.problems == ("c is used too seldom: 2 weights of the original are equal to it, and 1 are used",)


def test_what_is_merged_into_others_is_told_and_no_problem() -> None:
    state = {"a": drawn(6, 6), "b": drawn(7, 7), "scaled": drawn(5, 5)}
    found = search_weights(state, [held("x", state["b"]), held("y", state["scaled"] * np.float32(0.125))])
    assert (found.found, found.missing, found.problems) == (1, ("a", "scaled"), ())
    assert found.text == "1 of 3 weights of the original found and used; not found: a, scaled"


def test_zeros_may_be_left_out() -> None:
    found = search_weights({"zeros": np.zeros(6, np.float32), "b": drawn(4)}, [held("x", drawn(6))])
    assert found.missing == ("zeros", "b")


def test_what_stands_in_a_weights_place_is_named_with_its_size() -> None:
    weight = drawn(6)
    (problem,) = search_weights(
        {"w": weight}, [held("model.w", weight + np.float32(0.5)), held("z", drawn(6))]
    ).problems
    assert problem.startswith("w is not in the graph: model.w in its place differs by up to 5.00e-01 where its largest")
    (problem,) = search_weights({"w": weight}, [held("w", weight.astype(np.float16))]).problems
    assert problem.endswith("; it is the original's, rounded to float16")


def test_our_own_graph_has_all_of_them(state: dict[str, Floats], tmp_path: Path) -> None:
    found = onnx_weights(state, saved(tmp_path / "x.onnx", state))
    assert (found.found, found.missing, found.problems) == (len(state), (), ())


@pytest.mark.parametrize("level", ["ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
def test_a_graph_that_onnx_runtime_optimised_has_all_of_them(
    level: str, state: dict[str, Floats], tmp_path: Path
) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4  # that the file suits this machine alone
    onnxruntime.InferenceSession(saved(tmp_path / "x.onnx", state), options, providers=["CPUExecutionProvider"])
    found = onnx_weights(state, tmp_path / "optimised.onnx")
    assert (found.found, found.problems) == (len(state), ())


def test_an_ordinary_export_has_all_of_them(state: dict[str, Floats], tmp_path: Path) -> None:
    exported(tmp_path / "x.onnx", state)
    found = onnx_weights(state, tmp_path / "x.onnx")
    assert (found.found, found.missing, found.problems) == (len(state), (), ())


def test_a_key_bias_of_an_ordinary_export_is_missed_though_no_output_shows_it(
    state: dict[str, Floats], tmp_path: Path
) -> None:
    exported(tmp_path / "x.onnx", state)
    model = onnx.load(tmp_path / "x.onnx")
    (tensor,) = (t for t in model.graph.initializer if t.name.endswith("layers.0.attention.k_proj.bias"))
    tensor.CopyFrom(numpy_helper.from_array(np.zeros(24, np.float32), tensor.name))
    onnx.save(model, tmp_path / "x.onnx")
    (problem,) = onnx_weights(state, tmp_path / "x.onnx").problems
    assert LAYER.format(0, "k_proj.bias") in problem


def test_a_right_name_does_not_help_where_something_else_is_read(state: dict[str, Floats], tmp_path: Path) -> None:
    name = LAYER.format(1, "v_proj.weight")
    model = onnx.load(saved(tmp_path / "x.onnx", state))
    model.graph.initializer.append(numpy_helper.from_array(drawn(24, 24), "another"))
    for node in model.graph.node:
        node.input[:] = ["another" if given == name else given for given in node.input]
    onnx.save(model, tmp_path / "x.onnx")
    (problem,) = onnx_weights(state, tmp_path / "x.onnx").problems
    assert problem.endswith(f"{name} is in the file, and nothing that leads to an output reads it")


def test_constants_in_nodes_functions_and_bodies_are_found(tmp_path: Path) -> None:
    state = {name: drawn(4) for name in ("node", "function", "body", "outside")}
    tensors = {name: numpy_helper.from_array(values) for name, values in state.items()}
    constant = {name: helper.make_node("Constant", [], [f"{name}_c"], value=tensors[name]) for name in state}
    function = helper.make_function(
        "local", "AddIt", ["x"], ["y"],
        [constant["function"], helper.make_node("Add", ["x", "function_c"], ["y"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    result = helper.make_tensor_value_info("r", TensorProto.FLOAT, [4])
    body = helper.make_graph([constant["body"], helper.make_node("Add", ["b", "body_c"], ["r"])], "then", [], [result])
    other = helper.make_graph([helper.make_node("Add", ["b", "outside"], ["r"])], "else", [], [result])
    nodes = [
        constant["node"],
        helper.make_node("Add", ["x", "node_c"], ["a"]),
        helper.make_node("AddIt", ["a"], ["b"], domain="local"),
        helper.make_node("If", ["yes"], ["out"], then_branch=body, else_branch=other),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [4])]
    yes = numpy_helper.from_array(np.array(True), "yes")
    outside = numpy_helper.from_array(state["outside"], "outside")
    graph = helper.make_graph(nodes, "g", inputs, outputs, [yes, outside])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    onnx.save(helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=8), tmp_path / "x.onnx")
    assert all(constant.readers for constant in graph_constants(tmp_path / "x.onnx"))
    assert onnx_weights(state, tmp_path / "x.onnx").found == 4


@pytest.mark.parametrize("part", ["basis", "weight_in_basis"])
def test_the_first_convolution_is_found_by_its_transform_and_both_must_be_right(
    part: str, state: dict[str, Floats], tmp_path: Path
) -> None:
    model = onnx.load(saved(tmp_path / "x.onnx", state))
    assert onnx_weights(state, tmp_path / "x.onnx").found == len(state)
    (tensor,) = (t for t in model.graph.initializer if t.name == f"feature_extractor.conv_layers.0.conv.{part}")
    values = onnx.numpy_helper.to_array(tensor).copy()
    values.flat[int(np.abs(values).argmax())] *= np.float32(1 + 2e-6)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, tmp_path / "x.onnx")
    (problem,) = onnx_weights(state, tmp_path / "x.onnx").problems
    assert "feature_extractor.conv_layers.0.conv.weight is not in the graph" in problem


BIASES = {name: drawn(6) for name in ("q_proj.bias", "k_proj.bias", "v_proj.bias")}


@pytest.mark.parametrize("change", [np.zeros_like, lambda a: a + np.float32(1e-4), lambda a: a[::-1]])
def test_what_stands_between_weights_that_are_joined_is_told(change: Callable[[Floats], Floats]) -> None:
    q, k, v = BIASES.values()
    joined = np.concatenate([q, change(k), v])
    (problem,) = search_weights(BIASES, [held("Attention_bias", joined), held("other", drawn(4, 4))]).problems
    assert problem.startswith("k_proj.bias is not in the graph: Attention_bias in its place differs by up to")


def test_what_stands_between_joined_matrices_is_told_in_any_order() -> None:
    state = {name: drawn(5, 4) for name in "abc"}
    a, b, c = state.values()
    for axis in (0, 1):
        joined = np.concatenate([a.T, 2 * c.T + 1, b.T] if axis else [a, 2 * c + 1, b], axis)
        found = search_weights(state, [held("all", joined)])
        assert (found.found, len(found.problems)) == (2, 1)
        assert found.problems[0].startswith("c is not in the graph: all in its place")


def test_a_part_that_is_scaled_and_one_that_is_no_block_are_merged() -> None:
    q, k, v = BIASES.values()
    scaled = search_weights(BIASES, [held("all", np.concatenate([q * np.float32(0.125), k, v]))])
    assert (scaled.missing, scaled.problems) == (("q_proj.bias",), ())
    apart = search_weights(BIASES, [held("all", np.concatenate([drawn(3), k, v, drawn(3)]))])
    assert (apart.missing, apart.problems) == (("q_proj.bias",), ())


def test_what_is_left_over_does_no_harm_where_it_is_read_elsewhere() -> None:
    q, k, v = BIASES.values()
    joined = held("all", np.concatenate([q, k, v]))
    left = [held(name, values, 0) for name, values in BIASES.items()]
    assert search_weights(BIASES, [joined, *left]).text == "3 of 3 weights of the original found and used"
    state = {"conv.weight_g": drawn(1, 1, 5), "conv.weight_v": drawn(6, 3, 5)}
    length, direction = state.values()
    folded = direction * (length / np.sqrt((direction * direction).sum(axis=(0, 1))))
    parts = [held(name, values, 0) for name, values in state.items()]
    assert search_weights(state, [held("weight", folded), *parts]).problems == ()
    assert len(search_weights(state, parts).problems) == 2
