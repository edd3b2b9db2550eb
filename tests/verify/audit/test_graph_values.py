"""Every value of a graph, whatever its origin."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.verify.audit.graphs import model, node, saved

from aves_verify.audit import graph_values
from aves_verify.audit.graph_values import traced, used_nodes
from aves_verify.backends.backend import RunError

WAVE = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)


def test_every_value_on_a_path_to_an_output_is_read(tmp_path: Path) -> None:
    made = model(
        [node("Add", ["x", "one"], ["a"]), node("Neg", ["x"], ["idle"]), node("Mul", ["a", "a"], ["y"])],
        one=np.float32(1),
    )
    graph = traced(saved(tmp_path, made), WAVE)
    (values,) = graph.values
    assert set(values.arrays) == {"x", "a", "y"}
    np.testing.assert_array_equal(values.arrays["a"], WAVE + 1)
    assert [n.op_type for n in graph.nodes] == ["Add", "Mul"]
    assert (graph.entry, graph.outputs, values.narrow) == ("x", ("y",), {})


def test_what_is_read_within_a_branch_is_on_the_path(tmp_path: Path) -> None:
    branch = helper.make_graph(
        [node("Identity", ["outer"], ["inner"])], "b", [], [helper.make_tensor_value_info("inner", 1, None)]
    )
    made = model(
        [node("Neg", ["x"], ["outer"]), node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)],
        yes=np.bool_(True),
    )
    assert [n.op_type for n in used_nodes(made.graph)] == ["Neg", "If"]
    np.testing.assert_array_equal(traced(saved(tmp_path, made), WAVE).values[0].arrays["y"], -WAVE)


def test_functions_of_a_graph_s_own_are_written_out(tmp_path: Path) -> None:
    made = model([node("Twice", ["x"], ["y"], domain="local")])
    made.opset_import.append(helper.make_opsetid("local", 1))
    body = [node("Add", ["a", "a"], ["b"])]
    made.functions.append(helper.make_function("local", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    graph = traced(saved(tmp_path, made), WAVE, -WAVE)
    assert [n.op_type for n in graph.nodes] == ["Add"]
    for values, wave in zip(graph.values, (WAVE, -WAVE), strict=True):
        np.testing.assert_array_equal(values.arrays["y"], 2 * wave)


@pytest.mark.parametrize(("to", "kind"), [(TensorProto.FLOAT16, "float16"), (TensorProto.BFLOAT16, "bfloat16")])
def test_narrow_values_are_told_and_what_numpy_does_not_have_is_left_out(tmp_path: Path, to: int, kind: str) -> None:
    made = model([node("Cast", ["x"], ["half"], to=to), node("Cast", ["half"], ["y"], to=TensorProto.FLOAT)])
    (values,) = traced(saved(tmp_path, made), WAVE).values
    assert values.narrow == {"half": kind}
    assert ("half" in values.arrays) == (kind == "float16")
    assert "y" in values.arrays


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    weight = np.arange(600, dtype=np.float32)
    made = model([node("Slice", ["big", "from", "to"], ["part"]), node("Add", ["x", "part"], ["y"])], big=weight)
    made.graph.initializer.extend(model([], **{"from": np.array([0]), "to": np.array([6])}).graph.initializer)
    onnx.save_model(made, tmp_path / "g.onnx", save_as_external_data=True, location="w", size_threshold=100)
    graph = traced(tmp_path / "g.onnx", WAVE)
    np.testing.assert_array_equal(graph.values[0].arrays["y"], WAVE + weight[:6])


def test_a_graph_that_is_refused_or_does_not_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"g\.onnx: ONNX Runtime does not run it: "):
        traced(saved(tmp_path, model([node("NoSuchOperator", ["x"], ["y"])])), WAVE)
    with pytest.raises(RunError, match=r"g\.onnx: ONNX Runtime does not run it: "):
        traced(saved(tmp_path, model([node("Add", ["x", "w"], ["y"])], w=np.ones(7, np.float32))), WAVE)


def test_values_that_would_fill_the_memory_are_not_handed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, model([node("Neg", ["x"], ["y"])]))
    monkeypatch.setattr(graph_values, "_MOST", 2 * WAVE.nbytes)
    assert traced(path, WAVE)
    with pytest.raises(RunError, match=r"g\.onnx: what it computes on its way takes more than 96 B"):
        traced(path, WAVE, WAVE)


def test_names_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = saved(tmp_path, model([node("Neg", ["x"], ["AAAA"]), node("Neg", ["AAAA"], ["y"])]))
    path.write_bytes(path.read_bytes().replace(b"AAAA", b"\xff\xfe\xfd\xfc"))
    with pytest.raises(RunError, match=r"ONNX Runtime does not run it: .*(UTF|utf)-8"):
        traced(path, WAVE)
