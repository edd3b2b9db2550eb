"""Telling why a port fails where that is cheap to know: runtimes that compute in fewer bits than a graph asks for."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from aves_artifacts.files.graph_types import holds_float64
from aves_verify.backends.backend import Backend
from aves_verify.backends.separate import SeparateBackend
from aves_verify.comparison.compare import Comparison

AGAIN = ", run again"  # stands behind the name of an input


def with_causes(backends: Sequence[Backend], compared: Mapping[str, Sequence[Comparison]]) -> Iterator[Comparison]:
    """All comparisons of one input, by backend; of one whose graph holds double, what its runtime made of that.

    Where float32 leaves little of an input, a port in float32 is excused; one that was written to compute there in
    double is not. It fails where its error is beyond the original's own by more than is allowed, and says so.
    """
    passed = {(c.clip, c.layer) for c in compared.get("onnx", ()) if c.status != "fail"}
    for backend in backends:
        for comparison in compared.get(backend.name, ()):
            yield _judged(backend, comparison, passed) if _may_narrow(backend) else comparison


def _may_narrow(backend: Backend) -> bool:
    """Whether it is a runtime of unknown habits that was given a graph with double in it."""
    if not isinstance(backend, SeparateBackend) or backend.row.reads != "onnx":
        return False
    if backend.name == "onnx" and backend.is_known:  # its other providers are runtimes of their own
        return False
    return holds_double(backend.path, backend.path.stat().st_mtime_ns)


def _judged(backend: Backend, found: Comparison, passed: Collection[tuple[str, str]]) -> Comparison:
    ratio, allowed = found.error_ratio, found.tolerance.error_ratio
    if found.status != "fail" and ratio is not None and ratio > allowed:
        reason = (
            f"the RMS error against float64 is {ratio:.3g} times {found.reference}'s own, {allowed:g} times is allowed"
        )
        found = replace(found, status="fail", reason=reason)
    if found.status != "fail" or not math.isfinite(found.max_abs):
        return found
    assert isinstance(backend, SeparateBackend)  # noqa: S101 - _may_narrow looked
    known = backend.about.settings.get("double")
    alike = backend.name != "onnx" and (found.clip.removesuffix(AGAIN), found.layer) in passed
    cause = (
        f"the graph holds double, {f'here {known}' if known else 'perhaps computed as float32 here'}"
        f"{', and the same file passes in ONNX Runtime' if alike else ''}: for this runtime write it with float32 alone"
    )
    return replace(found, reason=f"{found.reason}; {cause}")


@functools.lru_cache(maxsize=8)
def holds_double(path: Path, modified: int) -> bool:  # noqa: ARG001 - a file that was written anew is another one
    """Whether something in an ONNX file is computed in double, by its casts and constants; False where none is read."""
    try:
        return holds_float64(path)
    except (OSError, ValueError, DecodeError):
        return False  # told where it is loaded
