"""One input through every backend, then the comparisons."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.graph_contract import EMBEDDINGS
from aves_verify.backends.backend import Backend, Embeddings, RunError
from aves_verify.backends.loading import Loaded
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.comparison.compare import Comparison, Tolerance, compare
from aves_verify.comparison.evidence import Kept
from aves_verify.comparison.noise import MEASURE
from aves_verify.sounds.clip import SAMPLE_RATE
from aves_verify.sounds.inputs import Input
from aves_verify.verification.plan import Plan
from aves_verify.verification.rounding import in_float32

_SHORT = 5 * SAMPLE_RATE // 4  # samples in all of an input that is run more than once


def compare_input(
    loaded: Loaded, item: Input, plan: Plan, seconds: dict[str, float], kept: Kept, *, layers: bool
) -> Iterator[Comparison]:
    """Run every backend on one input, a short one once more, and compare; seconds are added by backend.

    A port that fails to run, or lacks an output, fails. Of an input that is not ``judged`` exactly, only the ONNX port
    is compared, and the exact answer is asked for where it differs by more than the tolerance.
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
    answers = _Answers(loaded, item, expected, seconds, layers)
    for backend in ports:
        outputs = found[backend.name]
        compared = list(_compare_port(backend, answers, outputs, plan))
        yield from compared
        if item.clip is not None and not isinstance(outputs, RunError):
            kept.add(next(c for c in compared if c.layer == "final"), outputs["final"], expected["final"])
        if isinstance(backend, OnnxBackend) and is_short(item) and not isinstance(outputs, RunError):
            yield from _again(backend, answers, outputs, plan)


@dataclass
class _Answers:
    """What the ports are held against on one input; what float32 leaves of it is computed where somebody asks."""

    loaded: Loaded
    item: Input
    expected: Embeddings
    seconds: dict[str, float]
    layers: bool

    @property
    def reference(self) -> str:
        return self.loaded.backends[0].name

    @cached_property
    def exact(self) -> Embeddings:
        return self._measured() if self.item.exactly else {}

    @cached_property
    def measured(self) -> Embeddings:
        """The exact answer even of an input that is not judged exactly, as that takes long."""
        return self.exact or self._measured()

    @cached_property
    def float32(self) -> tuple[Embeddings, ...]:
        """The original in float32, computed in other ways."""
        if self.loaded.exact is None:
            return ()
        with timed(self.seconds, "exact"):
            return in_float32(self.loaded.exact, self.loaded.config, self.item.waveform, tuple(self.measured))

    def _measured(self) -> Embeddings:
        if self.loaded.exact is None:
            return {}
        with timed(self.seconds, "exact"):
            return dict(self.loaded.exact.run(self.item.waveform, layers=self.layers))


def is_short(item: Input) -> bool:
    """Whether an input is run more than once: the time for that is better spent on many short ones."""
    return item.waveform.size <= _SHORT


def _again(backend: OnnxBackend, answers: _Answers, found: Embeddings, plan: Plan) -> Iterator[Comparison]:
    """Run a graph once more in its session, which must give the same bits, and in another one, otherwise optimised."""
    item, seconds, layers = answers.item, answers.seconds, answers.layers
    second = _run_port(backend, item, seconds, layers=layers)
    if isinstance(second, RunError) or any(
        not np.array_equal(found[name], second[name], equal_nan=True) for name in found
    ):
        for comparison in _compare_port(backend, answers, second, plan, ", run again"):
            reason = f"a second run on the same input gives something else; {comparison.reason}".removesuffix("; ")
            yield replace(comparison, status="fail", reason=reason)
    outputs: Embeddings | RunError
    try:
        with timed(seconds, backend.name):
            other = backend.otherwise_optimised()
        outputs = _run_port(other, item, seconds, layers=layers)
    except InputError as error:
        outputs = RunError(*error.problems)
    yield from _compare_port(backend, answers, outputs, plan, f", optimisation {backend.other_optimisation}")


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
    backend: Backend, answers: _Answers, found: Embeddings | RunError, plan: Plan, how: str = ""
) -> Iterator[Comparison]:
    """One comparison for each layer that either gives; a port that fails to run, or lacks one, fails.

    ``how`` it was run stands behind the input's name.
    """
    reference, clip = answers.reference, f"{answers.item.name}{how}"
    tolerance = plan.tolerances["unmeasured" if answers.loaded.exact is None else backend.kind]
    if isinstance(found, RunError):
        yield Comparison(backend.name, reference, clip, "final", tolerance, "fail", str(found))
        return
    expected = answers.expected
    if EMBEDDINGS in found:  # a second output of this name, which users ask for by it
        expected = {**expected, EMBEDDINGS: expected["final"]}
    for layer in {**expected, **found}:
        if layer in found and layer in expected:
            yield _compare_layer(backend.name, clip, layer, found[layer], expected[layer], answers, tolerance)
            continue
        has, lacks = (backend.name, reference) if layer in found else (reference, backend.name)
        reason = f"{has} gives {layer}, {lacks} does not"
        yield Comparison(backend.name, reference, clip, layer, tolerance, "fail", reason)


def _compare_layer(
    backend: str,
    clip: str,
    layer: str,
    port: NDArray[np.float32],
    expected: NDArray[np.float32],
    answers: _Answers,
    tolerance: Tolerance,
) -> Comparison:
    """Compare one output, and look closer where a difference may be what float32 leaves of this input."""
    given = "final" if layer == EMBEDDINGS else layer

    def compared(exact: Embeddings, float32: Sequence[Embeddings] = ()) -> Comparison:
        return compare(
            port,
            expected,
            backend=backend,
            reference_name=answers.reference,
            clip=clip,
            layer=layer,
            tolerance=tolerance,
            exact=exact.get(given),
            float32=[each[given] for each in float32 if given in each],
        )

    first = compared(answers.exact)
    if answers.loaded.exact is not None and _asks_for_more(first):
        return compared(answers.measured, answers.float32)
    if first.status == "near-zero drift" and not answers.item.exactly:
        # near zero the original's own rounding explains what nobody measured here
        small = first.near_zero and replace(first.near_zero, flagged=0)
        return replace(first, status="pass", reason="", near_zero=small)
    return first


def _asks_for_more(found: Comparison) -> bool:
    """Could what float32 leaves of this input explain a failure? Or is the original itself in doubt?"""
    scale = found.noise.scale if found.noise is not None else 1.0
    if not found.mean_abs <= MEASURE * scale:
        return False
    doubtful = found.noise is not None and found.noise.is_doubtful
    return doubtful or (found.status == "fail" and found.snr_db is not None)


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the seconds that the block takes to those of this name."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[name] += time.perf_counter() - start
