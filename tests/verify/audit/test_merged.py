"""What operators for all of attention have inside: a bias of the keys shows in no value that they give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper

from aves_verify.audit.merged import inside_merged

DIM, FRAMES = 6, 5
RNG = np.random.default_rng(0)


def drawn(*shape: int) -> NDArray[np.float32]:
    return RNG.normal(size=shape).astype(np.float32)


def inside(node: NodeProto, **values: Any) -> dict[str, NDArray[Any]]:
    return dict(inside_merged([node], values.get))


def merged(op: str, inputs: list[str], **attributes: Any) -> NodeProto:
    return helper.make_node(op, inputs, ["y"], domain="com.microsoft", **attributes)


def test_queries_keys_and_values_with_their_part_of_the_bias() -> None:
    q, k, v, bias = drawn(1, FRAMES, DIM), drawn(1, FRAMES, DIM), drawn(1, FRAMES, DIM), drawn(3 * DIM)
    found = inside(merged("MultiHeadAttention", ["q", "k", "v", "b"], num_heads=2), q=q, k=k, v=v, b=bias)
    assert list(found) == ["y, query", "y, key", "y, value"]
    for part, (name, x) in enumerate(zip(found, (q, k, v), strict=True)):
        expected = x.astype(np.float64) + bias[part * DIM : (part + 1) * DIM]
        assert np.array_equal(found[name], expected)


@pytest.mark.parametrize("scale", [0.0, 3**-0.5])
def test_a_scale_that_is_written_out_is_the_usual_one(scale: float) -> None:
    q, bias = drawn(1, FRAMES, DIM), drawn(3 * DIM)
    node = merged("MultiHeadAttention", [*"qqqb"], num_heads=2, scale=scale)
    assert len(inside(node, q=q, b=bias)) == 3


@pytest.mark.parametrize("sizes", [None, [DIM, DIM, DIM]])
def test_queries_keys_and_values_by_one_matrix(sizes: list[int] | None) -> None:
    x, weight, bias = drawn(2, FRAMES, 4), drawn(4, 3 * DIM), drawn(3 * DIM)
    attributes = {"num_heads": 2, **({} if sizes is None else {"qkv_hidden_sizes": sizes})}
    found = inside(merged("Attention", ["x", "w", "b"], **attributes), x=x, w=weight, b=bias)
    everything = x.astype(np.float64) @ weight + bias
    for part, value in enumerate(found.values()):
        assert np.allclose(value, everything[..., part * DIM : (part + 1) * DIM], rtol=0, atol=1e-12)
    assert len(found) == 3


@pytest.mark.parametrize(
    ("node", "values"),
    [
        (merged("MultiHeadAttention", ["q", "q", "q"]), {"q": drawn(1, 5, 6)}),  # without a bias nothing is hidden
        (merged("MultiHeadAttention", ["q", "q", "q", "b"]), {"q": drawn(1, 5, 6), "b": drawn(7)}),
        (merged("MultiHeadAttention", ["q", "", "", "b"]), {"q": drawn(1, 5, 6), "b": drawn(18)}),
        (merged("MultiHeadAttention", ["q", "q", "q", "?"]), {"q": drawn(1, 5, 6)}),
        (merged("Attention", ["q", "w", "b"]), {"q": drawn(1, 5, 6), "w": drawn(5, 18), "b": drawn(18)}),
        (merged("MultiHeadAttention", [*"qqqb"], num_heads=2, scale=1.0), {"q": drawn(1, 5, 6), "b": drawn(18)}),
        (merged("BiasGelu", ["q", "b"]), {"q": drawn(1, 5, 6), "b": drawn(6)}),
        (helper.make_node("Attention", ["q", "q", "q"], ["y"]), {"q": drawn(1, 5, 6)}),
    ],
)
def test_others_hide_nothing_that_can_be_told(node: NodeProto, values: dict[str, Any]) -> None:
    assert inside(node, **values) == {}
