"""One input through every backend, then the comparisons."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from aves_artifacts.base.errors import InputError
from aves_verify.backends.backend import Backend, Embeddings, RunError
from aves_verify.backends.loading import Loaded
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.comparison.compare import Comparison, compare
from aves_verify.comparison.evidence import Kept
from aves_verify.sounds.clip import SAMPLE_RATE
from aves_verify.sounds.inputs import Input
from aves_verify.verification.plan import Plan

_SHORT = 5 * SAMPLE_RATE // 4  # samples in all of an input that is run more than once


def compare_input(
    loaded: Loaded, item: Input, plan: Plan, seconds: dict[str, float], kept: Kept, *, layers: bool
) -> Iterator[Comparison]:
    """Run every backend on one input, a short one once more, and compare; seconds are added by backend.

    A port that fails to run, or lacks an output, fails. Of an input that is not ``judged`` exactly, only the ONNX port
    is compared.
    """
    reference, *ports = loaded.backends
    ports = [port for port in ports if item.exactly or isinstance(port, OnnxBackend)]
    began = time.perf_counter()
    expected = dict(_run(reference, item, seconds, layers=layers))
    pace = (time.perf_counter() - began) / item.waveform.size * SAMPLE_RATE
    for port in ports:
        if isinstance(port, OnnxBackend):
            port.reference_seconds = max(port.reference_seconds, pace)
    found: dict[str, Embeddings | RunError] = {}
    for backend in ports:
        found[backend.name] = _run_port(backend, item, seconds, layers=layers)
    with timed(seconds, "exact"):
        wanted = loaded.exact if item.exactly else None
        exact = {} if wanted is None else dict(wanted.run(item.waveform, layers=layers))
    for backend in ports:
        outputs = found[backend.name]
        compared = list(_compare_port(backend, reference.name, item, outputs, expected, exact, plan))
        yield from compared
        if item.clip is not None and not isinstance(outputs, RunError):
            kept.add(next(c for c in compared if c.layer == "final"), outputs["final"], expected["final"])
        if isinstance(backend, OnnxBackend) and is_short(item) and not isinstance(outputs, RunError):
            yield from _again(backend, reference.name, item, outputs, expected, exact, plan, seconds, layers=layers)


def is_short(item: Input) -> bool:
    """Whether an input is run more than once: the time for that is better spent on many short ones."""
    return item.waveform.size <= _SHORT


def _again(
    backend: OnnxBackend,
    reference: str,
    item: Input,
    found: Embeddings,
    expected: Embeddings,
    exact: Embeddings,
    plan: Plan,
    seconds: dict[str, float],
    *,
    layers: bool,
) -> Iterator[Comparison]:
    """Run a graph once more in its session, which must give the same bits, and in another one, otherwise optimised."""
    second = _run_port(backend, item, seconds, layers=layers)
    if isinstance(second, RunError) or any(
        not np.array_equal(found[name], second[name], equal_nan=True) for name in found
    ):
        again = replace(item, name=f"{item.name}, run again")
        for comparison in _compare_port(backend, reference, again, second, expected, exact, plan):
            reason = f"a second run on the same input gives something else; {comparison.reason}".removesuffix("; ")
            yield replace(comparison, status="fail", reason=reason)
    outputs: Embeddings | RunError
    try:
        with timed(seconds, backend.name):
            other = backend.otherwise_optimised()
        outputs = _run_port(other, item, seconds, layers=layers)
    except InputError as error:
        outputs = RunError(*error.problems)
    renamed = replace(item, name=f"{item.name}, optimisation {backend.other_optimisation}")
    yield from _compare_port(backend, reference, renamed, outputs, expected, exact, plan)


def _run(backend: Backend, item: Input, seconds: dict[str, float], *, layers: bool) -> Embeddings:
    with timed(seconds, backend.name):
        return backend.run(item.waveform, layers=layers)


def _run_port(backend: Backend, item: Input, seconds: dict[str, float], *, layers: bool) -> Embeddings | RunError:
    """The outputs, or why there are none: that is the port's failure, and the others go on."""
    try:
        return _run(backend, item, seconds, layers=layers)
    except RunError as error:
        return error


def _compare_port(
    backend: Backend,
    reference: str,
    item: Input,
    found: Embeddings | RunError,
    expected: Embeddings,
    exact: Embeddings,
    plan: Plan,
) -> Iterator[Comparison]:
    """One comparison for each layer that either gives; a port that fails to run, or lacks one, fails."""
    tolerance = plan.tolerances[backend.kind]
    if isinstance(found, RunError):
        yield Comparison(backend.name, reference, item.name, "final", tolerance, "fail", str(found))
        return
    if "embeddings" in found:  # a second output of this name, which users ask for by it
        expected = {**expected, "embeddings": expected["final"]}
        exact = {**exact, "embeddings": exact["final"]} if exact else exact
    for layer in {**expected, **found}:
        if layer in found and layer in expected:
            compared = compare(
                found[layer],
                expected[layer],
                backend=backend.name,
                reference_name=reference,
                clip=item.name,
                layer=layer,
                tolerance=tolerance,
                exact=exact.get(layer),
            )
            if compared.status == "near-zero drift" and not item.exactly:
                # near zero the original's own rounding explains what nobody measured here
                small = compared.near_zero and replace(compared.near_zero, flagged=0)
                compared = replace(compared, status="pass", reason="", near_zero=small)
            yield compared
            continue
        has, lacks = (backend.name, reference) if layer in found else (reference, backend.name)
        reason = f"{has} gives {layer}, {lacks} does not"
        yield Comparison(backend.name, reference, item.name, layer, tolerance, "fail", reason)


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the seconds that the block takes to those of this name."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[name] += time.perf_counter() - start
