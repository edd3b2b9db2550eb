"""One input through every backend, then the comparisons."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
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
from aves_verify.backends.separate import SeparateBackend
from aves_verify.comparison.compare import Comparison, Tolerance, compare
from aves_verify.comparison.evidence import Kept
from aves_verify.comparison.noise import MEASURE
from aves_verify.sounds.clip import SAMPLE_RATE
from aves_verify.sounds.inputs import Input
from aves_verify.verification.causes import AGAIN, with_causes
from aves_verify.verification.plan import Plan
from aves_verify.verification.rounding import in_float32

_SHORT = 5 * SAMPLE_RATE // 4  # samples in all of an input that is run more than once


def compare_input(
    loaded: Loaded,
    item: Input,
    plan: Plan,
    seconds: dict[str, float],
    kept: Kept,
    *,
    layers: bool,
    shapes: set[tuple[int, ...]],
) -> Iterator[Comparison]:
    """Run every backend on one input and compare; seconds are added by backend, its shape to those run before.

    An input of a new ``shapes`` is run twice, as short ones are, which are run otherwise optimised too. A port that
    fails to run, or lacks an output, fails. Of an input that is not judged exactly, only the ports that do not compute
    with torch are compared, and the exact answer is asked for where one differs by more than the tolerance.
    """
    reference, *ports = loaded.backends
    ports = [port for port in ports if item.exactly or isinstance(port, SeparateBackend)]
    began = time.perf_counter()
    expected = dict(_run(reference, item, seconds, layers=layers))
    pace = (time.perf_counter() - began) / item.waveform.size * SAMPLE_RATE
    for port in ports:
        if isinstance(port, SeparateBackend):
            port.reference_seconds = max(port.reference_seconds, pace)
    found: dict[str, Embeddings | RunError] = {}
    for backend in ports:
        found[backend.name] = _run_port(backend, item, seconds, layers=layers)
    answers = _Answers(loaded, item, expected, seconds, layers)
    again, new = runs_again(item, shapes), item.waveform.shape not in shapes
    shapes.add(item.waveform.shape)
    compared: dict[str, list[Comparison]] = {}
    for backend in ports:
        outputs = found[backend.name]
        compared[backend.name] = list(_compare_port(backend, answers, outputs, plan))
        if item.clip is not None and not isinstance(outputs, RunError):
            final = next(c for c in compared[backend.name] if c.layer == "final")
            kept.add(final, outputs["final"], expected["final"])
        if isinstance(outputs, RunError):
            continue
        if again:
            compared[backend.name] += _again(backend, answers, outputs, plan, new=new)
        if is_short(item) and isinstance(backend, OnnxBackend):
            compared[backend.name] += _otherwise(backend, answers, plan)
    yield from with_causes(loaded.backends, compared)


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


def runs_again(item: Input, shapes: Collection[tuple[int, ...]]) -> bool:
    """Whether an input is run again by every port: short ones, and the first of each shape, beside those before."""
    return is_short(item) or item.waveform.shape not in shapes


def _again(backend: Backend, answers: _Answers, found: Embeddings, plan: Plan, *, new: bool) -> Iterator[Comparison]:
    """Run once more in the same session, which must give the same bits; what does not is compared, and fails.

    Many runtimes choose kernels and lay out memory when a shape is ``new``: its first run is not like the others.
    """
    second = _run_port(backend, answers.item, answers.seconds, layers=answers.layers)
    if isinstance(second, RunError):
        what = "the first run of a shape is followed by one that fails" if new else "a second run fails"
        others = {"final"}
    else:
        what = "the first run of a shape differs from its second" if new else "a second run gives something else"
        others = {name for name in {**found, **second} if not _same_bits(found.get(name), second.get(name))}
    if not others:
        return
    compared = {comparison.layer: comparison for comparison in _compare_port(backend, answers, second, plan, AGAIN)}
    for layer in sorted(others):
        told = compared.get(layer)
        if told is None:  # the first run alone gave it, and nothing of the original has its name
            clip, tolerance = f"{answers.item.name}{AGAIN}", _tolerance(backend, answers, plan)
            reason = f"it gives {layer} no more"
            told = Comparison(backend.name, answers.reference, clip, layer, tolerance, "fail", reason)
        yield replace(told, status="fail", reason=f"{what}; {told.reason}".removesuffix("; "))


def _same_bits(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> bool:
    return one is not None and other is not None and np.array_equal(one, other, equal_nan=True)


def _otherwise(backend: OnnxBackend, answers: _Answers, plan: Plan) -> Iterator[Comparison]:
    """Run a graph in another session, otherwise optimised."""
    outputs: Embeddings | RunError
    try:
        with timed(answers.seconds, backend.name):
            other = backend.otherwise_optimised()
        outputs = _run_port(other, answers.item, answers.seconds, layers=answers.layers)
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
    tolerance = _tolerance(backend, answers, plan)
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


def _tolerance(backend: Backend, answers: _Answers, plan: Plan) -> Tolerance:
    return plan.tolerances["unmeasured" if answers.loaded.exact is None else backend.kind]


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
