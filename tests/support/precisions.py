"""How a graph is written that computes some of its sums in double."""

from aves_convert.graph.options import OnnxOptions

IN_DOUBLE = OnnxOptions(layers="all")
