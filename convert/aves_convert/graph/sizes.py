"""The sizes that are not known beforehand: how many waveforms, and how many positions each convolution gives.

The graph computes them from its input; where that has a fixed shape they are constants, and no node asks for a shape.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.builder import GraphBuilder


@dataclass(frozen=True)
class Sizes:
    """Writes sizes into a graph, each as int64 [1]."""

    graph: GraphBuilder
    config: EncoderConfig
    channel: str  # the waveforms, [batch, 1, 1, samples]

    def batch(self) -> str:
        """How many waveforms there are."""
        if (fixed := self.graph.options.fixed_shape) is not None:
            return self.graph.constant("batch", [fixed[0]])
        # Not of the input itself: converters to other types lose their way where two nodes read that.
        return self.graph.once("encoder.batch", "Shape", self.channel, start=0, end=1)

    def shape(self, name: str, *rest: int) -> str:
        """The batch size and after it axes that are known; -1 is what is left, as Reshape has it."""
        tail = self.graph.constant("_".join((name, "axes")), list(rest))
        return self.graph.node(f"encoder.{name}_shape", "Concat", self.batch(), tail, axis=0)

    def positions(self, module: str, x: str, axis: int, *, after: int, multiple_of: int) -> str:
        """How many positions an axis of x has, ``after`` so many convolutions; rounded down to a multiple."""
        graph = self.graph
        if graph.options.fixed_shape is not None:
            known = self._positions(after)
            return graph.constant(f"{module}.positions", [known - known % multiple_of])
        count = graph.node(f"{module}.positions", "Shape", x, start=axis, end=axis + 1)
        # Spelled so that tools which infer shapes see a multiple; by them n - n mod k is known, n div k times k is not.
        rest = graph.node(f"{module}.rest", "Mod", count, graph.constant(f"multiple_{multiple_of}", [multiple_of]))
        return graph.node(f"{module}.whole", "Sub", count, rest)

    def frames(self) -> int | str:
        """How many frames each waveform gives, or the name of that axis."""
        fixed = self.graph.options.fixed_shape
        return "frames" if fixed is None else self.config.frames(fixed[1])

    def _positions(self, after: int) -> int:
        assert self.graph.options.fixed_shape is not None  # noqa: S101 - the callers have looked
        length = self.graph.options.fixed_shape[1]
        for _, kernel, stride in itertools.islice(self.config.extractor_conv_layer_config, after):
            length = (length - kernel) // stride + 1
        return length
