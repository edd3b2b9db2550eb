"""The table of operators in float64: as the standard has them, and how much ONNX Runtime's float32 is off."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from tests.verify.audit.graphs import model, node

from aves_verify.operators.exact import NotInTableError
from aves_verify.operators.nodes import LIMITS, node_errors
from aves_verify.operators.sums import attention, convolution, einsum, matmul, multi_head_attention
from aves_verify.operators.table import TABLE

RNG = np.random.default_rng(0)


def real(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


X = real(2, 4, 9)
POSITIVE = np.abs(X) + 0.1
# Operator, inputs, attributes; what is left out of an input is None.
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    *((name, (X, real(4, 1)), {}) for name in ("Add", "Sub", "Mul", "Div")),
    *((name, (X,), {}) for name in ("Neg", "Abs", "Relu", "Identity", "Erf", "Exp", "Tanh", "Sigmoid", "Softplus")),
    *((name, (POSITIVE,), {}) for name in ("Sqrt", "Reciprocal", "Log")),
    ("Pow", (POSITIVE, np.array(0.5)), {}),
    ("Cast", (X,), {"to": TensorProto.DOUBLE}),
    *((name, (X, real(4, 9), real(9)), {}) for name in ("Max", "Min")),
    ("MatMul", (X, real(2, 9, 5)), {}),
    ("Gemm", (real(4, 6), real(5, 6), real(5)), {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("Gemm", (real(6, 4), real(6, 5)), {"transA": 1}),
    ("Conv", (real(2, 4, 20), real(6, 2, 3), real(6)), {"strides": [2], "group": 2, "pads": [1, 2], "dilations": [2]}),
    ("Conv", (real(1, 3, 1, 20), real(6, 3, 1, 3)), {"strides": [1, 2]}),
    ("Einsum", (real(4, 5), real(3, 5)), {"equation": "ck, dk->cd"}),
    ("Softmax", (X,), {}),
    ("Softmax", (X,), {"axis": 1}),
    *((name, (X, np.array([1, -1])), {"keepdims": 0}) for name in ("ReduceMean", "ReduceSum")),
    ("ReduceMean", (X,), {}),
    ("ReduceSum", (X, np.array([], np.int64)), {"noop_with_empty_axes": 1}),
    *((name, (X, np.array([2])), {}) for name in ("ReduceSumSquare", "ReduceL2")),
    ("LayerNormalization", (X, real(9), real(9)), {"epsilon": 1e-3}),
    ("LayerNormalization", (X, real(4, 9)), {"axis": 1}),
    ("InstanceNormalization", (X, real(4), real(4)), {"epsilon": 1e-3}),
    ("Attention", (real(2, 5, 12), real(2, 7, 12), real(2, 7, 12)), {"q_num_heads": 3, "kv_num_heads": 3}),
    ("Attention", (real(2, 3, 5, 4), real(2, 3, 7, 4), real(2, 3, 7, 4)), {"scale": 0.3}),
]


@pytest.mark.parametrize(("op", "inputs", "attributes"), CASES, ids=[case[0] for case in CASES])
def test_an_operator_is_what_the_standard_says(op: str, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> None:
    names = [f"i{i}" for i in range(len(inputs))]
    evaluator = ReferenceEvaluator(node(op, names, ["y"], **attributes), opsets={"": 23})
    (wanted,) = evaluator.run(None, dict(zip(names, inputs, strict=True)))
    read = {name: helper.get_attribute_value(helper.make_attribute(name, value)) for name, value in attributes.items()}
    found = TABLE["", op](read, [torch.from_numpy(np.asarray(value)) for value in inputs])
    # the standard's own implementation takes some constants in float32
    np.testing.assert_allclose(found.values[0].numpy(), wanted, rtol=1e-5, atol=1e-7)
    assert (found.sizes[0] >= 0).all()
    assert found.sizes[0].shape == found.values[0].shape


@pytest.mark.parametrize("scales", [2, 4])
def test_a_group_norm_has_a_scale_for_each_channel_or_as_once_for_each_group(scales: int) -> None:
    scale, bias = (torch.from_numpy(real(scales)) for _ in range(2))
    found = TABLE["", "GroupNormalization"]({"num_groups": 2, "epsilon": 1e-3}, [torch.from_numpy(X), scale, bias])
    each = [part.repeat_interleave(4 // scales) for part in (scale, bias)]
    wanted = torch.nn.functional.group_norm(torch.from_numpy(X), 2, *each, eps=1e-3)
    np.testing.assert_allclose(found.values[0].numpy(), wanted.numpy(), rtol=1e-12)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_is_torch_s(approximate: str) -> None:
    found = TABLE["", "Gelu"]({"approximate": approximate.encode()}, [torch.from_numpy(X)])
    wanted = torch.nn.functional.gelu(torch.from_numpy(X), approximate=approximate)
    np.testing.assert_array_equal(found.values[0].numpy(), wanted.numpy())
    assert max(runtime_errors("Gelu", (X,), approximate=approximate)) <= 1


def runtime_errors(op: str, inputs: tuple[Any, ...], domain: str = "", **attributes: Any) -> list[float]:
    """ONNX Runtime's own errors, in units, of an operator of float32 with several outputs or one."""
    names = [f"i{i}" for i in range(len(inputs))]
    given = {
        name: value if value.dtype.kind == "i" else value.astype(np.float32)
        for name, value in zip(names, inputs, strict=True)
    }
    made = model([node(op, names, ["y"], domain=domain, **attributes)], opset=23)
    made.graph.input.pop()
    made.graph.input.extend(
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in given.items()
    )
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, given)
    found = node_errors(made.graph.node, {"": 23, "com.microsoft": 1}, {**given, "y": y}.get)
    assert found.not_looked_at == {}
    return [error.units / (LIMITS[error.kind] or 1.0) for error in found.looked_at]


@pytest.mark.parametrize(("op", "inputs", "attributes"), CASES, ids=[case[0] for case in CASES])
def test_onnx_runtime_s_float32_is_within_the_limits(
    op: str, inputs: tuple[Any, ...], attributes: dict[str, Any]
) -> None:
    if attributes.get("to") or (op == "Attention" and inputs[0].ndim == 4):
        pytest.skip("of other numbers, or of a shape that the runtime does not take")
    assert max(runtime_errors(op, inputs, **attributes)) <= 1


@pytest.mark.parametrize(
    ("op", "inputs", "attributes"),
    [
        ("Gelu", (X,), {}),
        ("BiasGelu", (X, real(9)), {}),
        ("FastGelu", (X, real(9)), {}),
        ("FastGelu", (X,), {}),
        ("FusedMatMul", (real(2, 5, 9), real(2, 5, 9)), {"transB": 1, "alpha": 0.125}),
        ("SkipLayerNormalization", (real(2, 5, 8), real(2, 5, 8), real(8), real(8), real(8)), {"epsilon": 1e-5}),
        ("SkipLayerNormalization", (real(2, 5, 8), real(2, 5, 8), real(8)), {}),
        ("MultiHeadAttention", (real(2, 5, 12), real(2, 5, 12), real(2, 5, 12)), {"num_heads": 3}),
        ("MultiHeadAttention", (real(2, 5, 12), real(2, 5, 12), real(2, 5, 12), real(36)), {"num_heads": 3}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_onnx_runtime_s_own_operators_are_in_the_table(
    op: str, inputs: tuple[Any, ...], attributes: dict[str, Any]
) -> None:
    assert max(runtime_errors(op, inputs, "com.microsoft", **attributes)) <= 1


@pytest.mark.parametrize(
    ("operator", "attributes", "inputs"),
    [
        (matmul, {"transBatchA": 1}, (X, X)),
        (matmul, {}, (X, None)),
        (convolution, {"auto_pad": b"SAME_UPPER"}, (real(1, 4, 9), real(4, 4, 3))),
        (einsum, {"equation": b"...i,i"}, (X, real(9))),
        (attention, {"is_causal": 1}, (real(2, 3, 5, 4),) * 3),
        (attention, {}, (*(real(2, 3, 5, 4),) * 3, real(5, 5))),
        (multi_head_attention, {"num_heads": 3, "unidirectional": 1}, (real(2, 5, 12),) * 3),
    ],
)
def test_what_the_table_does_not_know_is_refused(operator: Any, attributes: Any, inputs: Any) -> None:
    with pytest.raises(NotInTableError):
        operator(attributes, [None if x is None else torch.from_numpy(x) for x in inputs])
