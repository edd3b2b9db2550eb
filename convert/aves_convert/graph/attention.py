"""Writing attention into the graph: in plain operators, as the standard's operator, or as ONNX Runtime's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.builder import GraphBuilder
from aves_convert.graph.options import Attention
from aves_convert.graph.products import write_inner_product, write_product

FUSED_DOMAIN = "com.microsoft"  # ONNX Runtime's own operators
ATTENTION_OPSET = 23  # the standard has an operator for attention from here on


@dataclass(frozen=True)
class Shapes:
    """Names of the shapes that values are brought to: only batch and frames are not known beforehand."""

    flat: str  # [batch·frames, dim]
    sequence: str  # [batch, frames, dim]
    heads: str  # [batch, frames, heads, dim / heads]


Attend = Callable[[GraphBuilder, EncoderConfig, str, str, Shapes], str]  # a layer's attention of x, in float32


def attention_in(attention: Attention, opset: int) -> Attend:
    """Choose how attention is written: by ONNX Runtime's operator, the standard's, or plain ones."""
    if attention == "fused":
        return _fused_attention
    return _attention_operator if opset >= ATTENTION_OPSET else _attention


def _attention(graph: GraphBuilder, config: EncoderConfig, module: str, x: str, shapes: Shapes) -> str:
    """softmax(q·k/sqrt(d))·v in the operators of any opset."""
    dim, heads = config.encoder_embed_dim, config.encoder_num_heads
    parts = {}
    for name, perm in (("q_proj", [0, 2, 1, 3]), ("k_proj", [0, 2, 3, 1]), ("v_proj", [0, 2, 1, 3])):
        part = write_product(graph, f"{module}.{name}", x, dim, dim)
        part = graph.node(f"{module}.{name}", "Reshape", part, shapes.heads)
        parts[name] = graph.node(f"{module}.{name}", "Transpose", part, perm=perm)
    scale = graph.constant("attention_scale", np.float32((dim // heads) ** -0.5))
    query = graph.node(f"{module}.scaled_query", "Mul", parts["q_proj"], scale)
    scores = write_inner_product(graph, f"{module}.scores", query, parts["k_proj"])
    x = write_inner_product(graph, module, graph.node(module, "Softmax", scores, axis=-1), parts["v_proj"])
    x = graph.node(module, "Transpose", x, perm=[0, 2, 1, 3])
    x = graph.node(module, "Reshape", x, shapes.flat)
    return write_product(graph, f"{module}.out_proj", x, dim, dim)


def _attention_operator(graph: GraphBuilder, config: EncoderConfig, module: str, x: str, shapes: Shapes) -> str:
    """The same in the standard's operator, which scales by 1/sqrt(d) itself."""
    parts, heads = _sequences(graph, config, module, x, shapes), config.encoder_num_heads
    x = graph.node(module, "Attention", *parts, q_num_heads=heads, kv_num_heads=heads)
    return _attention_output(graph, config, module, x, shapes)


def _fused_attention(graph: GraphBuilder, config: EncoderConfig, module: str, x: str, shapes: Shapes) -> str:
    """The same in ONNX Runtime's own operator, which never holds all scores at once. It scales by 1/sqrt(d) itself."""
    parts, heads = _sequences(graph, config, module, x, shapes), config.encoder_num_heads
    x = graph.node(module, "MultiHeadAttention", *parts, domain=FUSED_DOMAIN, num_heads=heads)
    return _attention_output(graph, config, module, x, shapes)


def _sequences(graph: GraphBuilder, config: EncoderConfig, module: str, x: str, shapes: Shapes) -> list[str]:
    """Queries, keys and values, each [batch, frames, dim]."""
    parts, dim = [], config.encoder_embed_dim
    for name in ("q_proj", "k_proj", "v_proj"):
        part = write_product(graph, f"{module}.{name}", x, dim, dim)
        parts.append(graph.node(f"{module}.{name}", "Reshape", part, shapes.sequence))
    return parts


def _attention_output(graph: GraphBuilder, config: EncoderConfig, module: str, x: str, shapes: Shapes) -> str:
    """[batch, frames, dim] -> [batch·frames, dim]."""
    x = graph.node(module, "Reshape", x, shapes.flat)
    return write_product(graph, f"{module}.out_proj", x, config.encoder_embed_dim, config.encoder_embed_dim)
