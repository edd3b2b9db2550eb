"""Measuring how much noise each product makes alone in eight bits, at the end of the encoder.

The float32 encoder runs once, layer by layer, and what each layer is given is kept. A product's noise then takes the
layers from its own on: that one as a graph with this product in eight bits, the later ones as they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.bundle.graph_contract import WAVEFORM
from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.encoder import weighted_encoder_graph
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph_files.part import part_of
from aves_convert.graph_files.weighted import WeightedGraph
from aves_convert.reduction.cost import energies
from aves_convert.reduction.running import Floats, Running

NOTHING = -9999  # tenths of a dB: no noise at all
_TINY = float(np.finfo(np.float64).tiny)

Tenths = NDArray[np.int64]  # a clip's noise [frames], in tenths of a dB of each frame's own energy


@dataclass(frozen=True)
class Encoder:
    """What is searched: an encoder's weights, and the output at which noise is measured."""

    config: EncoderConfig
    state_dict: Mapping[str, Any]
    output: str
    products: tuple[str, ...]  # all that the output depends on, in the order in which they are computed

    def graph(self, options: OnnxOptions) -> WeightedGraph:
        """Write its graph with this output alone."""
        return weighted_encoder_graph(self.config, self.state_dict, replace(options, outputs=(self.output,)))

    @property
    def depth(self) -> int:
        """How many layers there are."""
        return len({_layer_of(product) for product in self.products})


def noise_alone(
    encoder: Encoder, waveforms: Sequence[Floats], known: Sequence[str], show: Callable[[str], None]
) -> Iterator[tuple[str, list[Tenths]]]:
    """Measure the products that are not ``known``, one after the other: for each waveform [1, samples] its noise."""
    wanted = [product for product in encoder.products if product not in known]
    if not wanted:
        return
    show("the float32 encoder")
    exact = encoder.graph(OnnxOptions())
    values = _values(exact, encoder)
    parts = [Running(part_of(exact, start, end)) for start, end in itertools.pairwise(values)]
    head = Running(part_of(exact, WAVEFORM, values[0]))
    kept = [_chained(head, parts, values, waveform) for waveform in waveforms]

    @cache
    def in_int8(kind: str) -> WeightedGraph:
        """The graph in which the products of this kind are in eight bits, in every layer."""
        others = tuple(product for product in encoder.products if not product.endswith(kind))
        return encoder.graph(OnnxOptions(precision="int8", wide=others))

    for product in wanted:
        show(f"product {encoder.products.index(product) + 1} of {len(encoder.products)}")
        layer = _layer_of(product)
        kind = product.partition(f"layers.{layer}.")[2]
        first = Running(part_of(in_int8(kind), values[layer], values[layer + 1]))
        found = []
        for waveform, given in zip(waveforms, kept, strict=True):
            x = first({WAVEFORM: waveform, values[layer]: given[layer]})
            for i in range(layer + 1, encoder.depth):
                x = parts[i]({WAVEFORM: waveform, values[i]: x})
            found.append(tenths(x, given[-1]))
        yield product, found


def tenths(port: Floats, reference: Floats) -> Tenths:
    """Measure each frame's noise against the frame itself, in tenths of a dB, of [..., frames, dim]."""
    signal, noise = (each.reshape(-1) for each in energies(port, reference))
    with np.errstate(divide="ignore"):
        decibels = 10 * np.log10(noise / np.maximum(signal, _TINY))
    return np.where(noise > 0, np.maximum(np.rint(10 * decibels), NOTHING), NOTHING).astype(np.int64)


def energy(noise: Tenths) -> NDArray[np.float64]:
    """The energy of noise as a part of each frame's own."""
    return np.where(noise > NOTHING, 10 ** (noise / 100), 0.0)


def _values(graph: WeightedGraph, encoder: Encoder) -> list[str]:
    """What each layer is given, and the output: names of values, one more than there are layers."""
    nodes = graph.model.graph.node
    firsts = []
    for layer in range(encoder.depth):
        inside = f"/encoder/transformer/layers.{layer}/"
        firsts.append(next(node.input[0] for node in nodes if node.name.startswith(inside)))
    return [*firsts, encoder.output]


def _chained(head: Running, parts: Sequence[Running], values: Sequence[str], waveform: Floats) -> list[Floats]:
    """What each layer is given of a waveform, and the output."""
    found = [head({WAVEFORM: waveform})]
    for name, part in zip(values[:-1], parts, strict=True):  # the last one is what comes out of the last layer
        found.append(part({WAVEFORM: waveform, name: found[-1]}))
    return found


def _layer_of(product: str) -> int:
    return int(product.partition("layers.")[2].partition(".")[0])
