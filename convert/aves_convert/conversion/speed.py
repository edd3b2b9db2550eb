"""Telling before somebody is disappointed where a smaller graph is not a faster one."""

from __future__ import annotations

from collections.abc import Iterator

from aves_artifacts.base.processor import multiplies_int8, processor_name
from aves_convert.graph.options import OnnxOptions


def speed_remarks(options: OnnxOptions) -> Iterator[str]:
    """Tell in a line where these graphs do not run faster than in float32, as far as that is known here."""
    if options.precision == "float16":
        yield (
            "half precision is for GPUs and browsers: ONNX Runtime on a processor computes such a graph in float32, in "
            "the same time"
        )
    if options.precision == "int8" and multiplies_int8() is False:
        yield (
            f"this processor ({processor_name()}) has no instructions for products of eight bits, such as VNNI: the "
            "graph is smaller, but may be slower here than one in float32"
        )
