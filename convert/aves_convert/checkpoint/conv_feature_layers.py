"""Parsing fairseq's ``conv_feature_layers``: Python source in a string, which fairseq evaluates and we do not."""

from __future__ import annotations

import ast

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import quoted
from aves_artifacts.encoder import LARGEST, MOST_CONVOLUTIONS

ConvLayers = tuple[tuple[int, int, int], ...]


def parse_conv_feature_layers(text: str) -> ConvLayers:
    """Parse ``"[(512,10,5)] + [(512,3,2)] * 4"`` into ((channels, kernel, stride), …); nothing is evaluated.

    Accepts lists of number triples, joined with ``+`` and repeated with ``*``. Raises InputError for anything else.
    """
    if len(text) > 10_000:
        raise InputError(
            f"conv_feature_layers is {len(text)} characters long; expected a short list of (channels, kernel, stride)"
        )
    try:
        layers = _layers(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        detail = str(error) if isinstance(error, _NotALayerListError) else "not a list of (channels, kernel, stride)"
        raise InputError(
            f"conv_feature_layers {quoted(text)}: {detail}; expected e.g. [(512,10,5)] + [(512,3,2)] * 4"
        ) from None
    if not layers:
        raise InputError("conv_feature_layers is empty; expected at least one (channels, kernel, stride)")
    return layers


class _NotALayerListError(ValueError):
    """The text holds something else than lists of triples."""


def _layers(node: ast.expr) -> ConvLayers:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        layers = _layers(node.left) + _layers(node.right)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        left, right = (node.right, node.left) if isinstance(node.left, ast.Constant) else (node.left, node.right)
        part, times = _layers(left), _integer(right)
        if len(part) * times > MOST_CONVOLUTIONS:  # before "[(1,1,1)] * 10**6" fills the memory
            raise _NotALayerListError(f"more than {MOST_CONVOLUTIONS} layers")
        layers = part * times
    elif isinstance(node, ast.List | ast.Tuple):
        layers = tuple(_triple(element) for element in node.elts)
    else:
        raise _NotALayerListError(f"found {type(node).__name__}, which is no list")
    if len(layers) > MOST_CONVOLUTIONS:
        raise _NotALayerListError(f"more than {MOST_CONVOLUTIONS} layers")
    return layers


def _triple(node: ast.expr) -> tuple[int, int, int]:
    if not isinstance(node, ast.List | ast.Tuple) or len(node.elts) != 3:
        raise _NotALayerListError("a layer is not a (channels, kernel, stride)")
    channels, kernel, stride = (_integer(element) for element in node.elts)
    return channels, kernel, stride


def _integer(node: ast.expr) -> int:
    if not isinstance(node, ast.Constant) or type(node.value) is not int or not 0 < node.value <= LARGEST:
        raise _NotALayerListError(f"a number is not a whole number from 1 to {LARGEST}")
    return node.value
