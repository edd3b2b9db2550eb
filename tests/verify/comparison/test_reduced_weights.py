"""Weights sought in smaller graphs: found however they are rounded, and what rounding does not explain is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, weights

from aves_convert.graph.options import OnnxOptions
from aves_convert.graph.transformer import products
from aves_verify.comparison.reduced_weights import ReducedWeights, Said, reduced_weights

STATE = {name: tensor.numpy() for name, tensor in weights(TINY).items()}
EVERY = products(TINY.encoder_num_layers)
DENSE = "encoder.transformer.layers.1.feed_forward.output_dense"
INT8, STORED = OnnxOptions(precision="int8"), OnnxOptions(weights="float16")
Change = Callable[[NDArray[np.generic]], NDArray[np.generic]]


def sought(
    folder: Path,
    options: OnnxOptions,
    said: tuple[str, ...] | Said | None = None,
    changes: dict[str, Change] | None = None,
) -> ReducedWeights:
    model = encoder_graph(TINY, STATE, options)
    for tensor in model.graph.initializer:
        if tensor.name in (changes or {}):
            changed = (changes or {})[tensor.name](numpy_helper.to_array(tensor).copy())
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(changed), tensor.name))
    onnx.save(model, folder / "x.onnx")
    port = "onnx.int8" if options.precision == "int8" else "onnx.float16-weights"
    if isinstance(said, tuple):
        said = Said(options.precision, options.weights, said)
    return reduced_weights(STATE, folder / "x.onnx", port, said)


def test_all_are_found_and_counted_by_how_they_are_rounded(tmp_path: Path) -> None:
    found = sought(tmp_path, INT8, ())
    assert (found.search.found, found.search.problems) == (len(STATE), ())
    assert found.search.rounded == {"int8": len(EVERY)}
    assert set(found.kinds) == {f"{name}.weight" for name in EVERY}
    assert found.search.text.endswith(f"weights of the original found and used, {len(EVERY)} of them in int8")
    for name, value in found.values.items():
        assert 0 < np.abs(value - STATE[name]).max() < np.abs(STATE[name]).max() / 100


def test_half_precision_is_found_where_it_is_folded_too(tmp_path: Path) -> None:
    found = sought(tmp_path, STORED)
    assert (found.search.found, found.search.problems) == (len(STATE), ())
    assert "encoder.transformer.pos_conv_embed.conv.weight" in found.values
    assert found.kinds[f"{DENSE}.weight"] == "float16"


def test_both_at_once(tmp_path: Path) -> None:
    wide = EVERY[::4]
    found = sought(tmp_path, OnnxOptions(precision="int8", weights="float16", wide=wide), wide)
    assert (found.search.found, found.search.problems) == (len(STATE), ())
    assert found.kinds[f"{wide[0]}.weight"] == "float16"
    assert found.kinds[f"{EVERY[1]}.weight"] == "int8"


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        (f"{DENSE}.weight_scale", lambda s: s * np.float32(1.01), "in eight bits is off by up to 1"),
        (f"{DENSE}.weight_scale", lambda s: s * np.float32(100), "in eight bits is off by"),
        (
            f"{DENSE}.weight",
            lambda w: np.where(np.arange(w.size).reshape(w.shape) == 5, w + 1, w).astype(w.dtype),
            "off",
        ),
        (f"{DENSE}.weight", lambda w: w[:, ::-1], "in eight bits is off by up to"),
        (f"{DENSE}.weight", lambda w: w * 0, "in eight bits is off by up to"),
        (f"{DENSE}.bias", lambda b: b + np.float32(1e-3), "bias is not in the graph"),
    ],
)
def test_what_rounding_does_not_explain_is_a_problem(tmp_path: Path, name: str, change: Change, told: str) -> None:
    found = sought(tmp_path, INT8, (), {name: change})
    assert any(told in problem and DENSE in problem for problem in found.search.problems)
    assert all(problem.startswith("onnx.int8: ") for problem in found.search.problems)


def test_a_half_that_is_another_is_a_problem(tmp_path: Path) -> None:
    found = sought(tmp_path, STORED, None, {f"{DENSE}.weight": lambda w: np.nextafter(w, np.float16(9))})
    assert any(f"{DENSE}.weight is not in the graph" in problem for problem in found.search.problems)


@pytest.mark.parametrize(
    ("written", "said", "told"),
    [
        ((DENSE,), (), "is in float32, and is said to be in int8"),
        ((), (DENSE,), "is in int8, and is said to be in float32"),
    ],
)
def test_what_is_said_to_be_wide_is_held_to_it(
    tmp_path: Path, written: tuple[str, ...], said: tuple[str, ...], told: str
) -> None:
    options = OnnxOptions(precision="int8", wide=written)
    (problem,) = sought(tmp_path, options, said).search.problems
    assert f"{DENSE}.weight {told}" in problem
    assert sought(tmp_path, options, None).search.problems == ()
    assert sought(tmp_path, options, written).search.problems == ()


def test_many_problems_are_counted(tmp_path: Path) -> None:
    found = sought(tmp_path, INT8, EVERY)
    assert len(EVERY) == 18
    assert len(found.search.problems) == 18
    changes = {f"{name}.weight_scale": (lambda s: s * np.float32(1.1)) for name in EVERY}
    found = sought(tmp_path, INT8, EVERY, changes)
    assert "and 16 more weights that are not the original's" in found.search.problems[-1]


@pytest.mark.parametrize("sparse", ["all", "rows", "columns", "most"])
def test_weights_that_are_zero_here_and_there_are_found(
    sparse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruned = STATE[f"{DENSE}.weight"].copy()
    rows, columns = pruned.shape
    zeros = {
        "all": np.s_[:],
        "rows": np.s_[: rows - 2],
        "columns": np.s_[:, : columns - 2],
        "most": np.random.default_rng(0).random(pruned.shape) < 0.95,
    }[sparse]
    pruned[zeros] = 0
    monkeypatch.setitem(STATE, f"{DENSE}.weight", pruned)
    found = sought(tmp_path, INT8, ())
    assert (found.search.found, found.search.problems) == (len(STATE), ())


def test_a_weight_of_another_name_is_found_by_what_is_in_it(tmp_path: Path) -> None:
    model = encoder_graph(TINY, STATE, INT8)
    for tensor in model.graph.initializer:
        if tensor.name == f"{DENSE}.weight":
            tensor.name = "onnx::MatMul_77"
    for node in model.graph.node:
        node.input[:] = ["onnx::MatMul_77" if name == f"{DENSE}.weight" else name for name in node.input]
    onnx.save(model, tmp_path / "x.onnx")
    assert reduced_weights(STATE, tmp_path / "x.onnx", "onnx.int8", None).kinds[f"{DENSE}.weight"] == "int8"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (Said("float32", "float32", ()), "is in float16, and is said to be in float32"),
        (Said("int8", "float16", ("foo",)), "foo is said to be wide, and there is no such product"),
    ],
)
def test_what_is_said_of_half_precision_is_held_to_it(tmp_path: Path, said: Said, told: str) -> None:
    assert sought(tmp_path, STORED, Said("float32", "float16", ())).search.problems == ()
    assert any(told in problem for problem in sought(tmp_path, STORED, said).search.problems)


def test_a_weight_that_stayed_float32_though_said_otherwise_is_told(tmp_path: Path) -> None:
    model = encoder_graph(TINY, STATE, STORED)
    (cast,) = (n for n in model.graph.node if n.input[:1] == [f"{DENSE}.weight"])
    (tensor,) = (t for t in model.graph.initializer if t.name == f"{DENSE}.weight")
    tensor.CopyFrom(numpy_helper.from_array(STATE[f"{DENSE}.weight"], f"{DENSE}.weight"))
    cast.op_type = "Identity"
    del cast.attribute[:]
    onnx.save(model, tmp_path / "x.onnx")
    (problem,) = reduced_weights(
        STATE, tmp_path / "x.onnx", "onnx.float16-weights", Said("float32", "float16", ())
    ).search.problems
    assert f"{DENSE}.weight is in float32, and is said to be in float16" in problem
