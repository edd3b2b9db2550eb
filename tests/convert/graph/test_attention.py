"""Attention by the operators that an opset has."""

from __future__ import annotations

from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, weights

from aves_convert.graph.options import OnnxOptions


def test_attention_is_the_standards_operator_where_it_has_one() -> None:
    """Spelled out before that; fused only where that is asked for."""
    cases = {(22, "standard"): "Softmax", (23, "standard"): "Attention", (23, "fused"): "MultiHeadAttention"}
    for (opset, attention), operator in cases.items():
        nodes = encoder_graph(TINY, weights(TINY), OnnxOptions(opset=opset, attention=attention)).graph.node  # type: ignore[arg-type]
        found = [node.name for node in nodes if node.op_type in cases.values()]
        layers = [f"/encoder/transformer/layers.{i}" for i in range(TINY.encoder_num_layers)]
        assert found == [f"{layer}/attention/{operator}" for layer in layers]
