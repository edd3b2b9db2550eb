"""One input through every backend, then the comparisons."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.outputs import FINAL, LOGITS
from aves_convert.sounds.clip import SAMPLE_RATE
from aves_verify.backends.backend import Backend, Embeddings, RunError
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.separate import SeparateBackend
from aves_verify.backends.transformers_model import TransformersBackend
from aves_verify.comparison.compare import Comparison
from aves_verify.comparison.evidence import Kept
from aves_verify.comparison.task_cost import TaskSamples
from aves_verify.loading.load import Loaded
from aves_verify.sounds.inputs import Input
from aves_verify.verification.answers import Answers, asked, compare_port, timed, tolerance_of, units_of
from aves_verify.verification.causes import AGAIN, with_causes
from aves_verify.verification.plan import Plan

_SHORT = 5 * SAMPLE_RATE // 4  # samples in all of an input that is run more than once


def compare_input(
    loaded: Loaded,
    item: Input,
    plan: Plan,
    seconds: dict[str, float],
    kept: Kept,
    tasks: TaskSamples,
    *,
    layers: bool,
    shapes: set[tuple[int, ...]],
) -> Iterator[Comparison]:
    """Run every backend on one input and compare; seconds are added by backend, its shape to those run before.

    An input of a new ``shapes`` is run twice, as short ones are, which are run otherwise optimised too. A port that
    fails to run, or lacks an output, fails. ``kept`` and ``tasks`` gather what is told of all inputs. Of an input that
    is not judged exactly, ports with the original's own operators are not compared, and the exact answer is asked for
    where one differs by more than the tolerance.
    """
    ran = run_input(loaded, item, seconds, layers=layers)
    answers, found = ran.answers, ran.found
    expected = answers.expected
    again, new = runs_again(item, shapes), item.waveform.shape not in shapes
    shapes.add(item.waveform.shape)
    compared: dict[str, list[Comparison]] = {}
    for backend in ran.ports:
        outputs = found[backend.name]
        compared[backend.name] = list(compare_port(backend, answers, outputs, plan))
        if item.clip is not None and not isinstance(outputs, RunError):
            final = next((c for c in compared[backend.name] if c.layer == FINAL), None)
            if final is not None and FINAL in outputs and FINAL in expected:
                kept.add(final, outputs[FINAL], expected[FINAL])
                if backend.kind == "reduced":
                    tasks.add(backend.name, outputs[FINAL], expected[FINAL])
            if backend.kind == "reduced" and LOGITS in outputs and LOGITS in expected:
                tasks.add_letters(backend.name, outputs[LOGITS], expected[LOGITS])
        if isinstance(outputs, RunError):
            continue
        if again:
            compared[backend.name] += _again(backend, answers, outputs, plan, new=new)
        if is_short(item) and isinstance(backend, OnnxBackend | TransformersBackend) and backend.other_way:
            compared[backend.name] += _otherwise(backend, answers, plan)
    yield from with_causes(loaded.backends, compared)


@dataclass(frozen=True)
class RanInput:
    """What every backend gives for one input: the original's answers, and by port its outputs or why there are none."""

    answers: Answers
    ports: tuple[Backend, ...]
    found: Mapping[str, Embeddings | RunError]

    def compared(self, plan: Plan) -> Iterator[Comparison]:
        """Compare every port, and nothing beside: what ``compare_input`` does before it runs anything again."""
        by_port = {
            port.name: list(compare_port(port, self.answers, self.found[port.name], plan)) for port in self.ports
        }
        return with_causes(self.answers.loaded.backends, by_port)


def run_input(
    loaded: Loaded, item: Input, seconds: dict[str, float], *, layers: bool, every_port: bool = False
) -> RanInput:
    """Run every backend on one input; seconds are added by backend. A port that fails to run has its error instead.

    Of an input that is not judged exactly those with the original's own operators are left out, but for ``every_port``.
    """
    deep = layers or bool(loaded.named)
    reference, *ports = loaded.backends
    ports = [port for port in ports if item.exactly or every_port or port.kind != "torchaudio"]
    began = time.perf_counter()
    expected = dict(_run(reference, item, seconds, layers=deep))
    expected |= units_of(expected, loaded)
    pace = (time.perf_counter() - began) / item.waveform.size * SAMPLE_RATE
    for port in ports:
        if isinstance(port, SeparateBackend):
            port.reference_seconds = max(port.reference_seconds, pace)
    found: dict[str, Embeddings | RunError] = {}
    for backend in ports:
        found[backend.name] = _run_port(backend, item, seconds, layers=_deeply(backend, layers, deep))
    return RanInput(Answers(loaded, item, expected, seconds, layers, deep), tuple(ports), found)


def _deeply(backend: Backend, layers: bool, deep: bool) -> bool:
    """Whether a backend is asked for what it has of layers: a graph gives what was named in any case."""
    return layers if isinstance(backend, SeparateBackend) else deep


def is_short(item: Input) -> bool:
    """Whether an input is run more than once: the time for that is better spent on many short ones."""
    return item.waveform.size <= _SHORT


def runs_again(item: Input, shapes: Collection[tuple[int, ...]]) -> bool:
    """Whether an input is run again by every port: short ones, and the first of each shape, beside those before."""
    return is_short(item) or item.waveform.shape not in shapes


def _again(backend: Backend, answers: Answers, found: Embeddings, plan: Plan, *, new: bool) -> Iterator[Comparison]:
    """Run once more in the same session, which must give the same bits; what does not is compared, and fails.

    Many runtimes choose kernels and lay out memory when a shape is ``new``: its first run is not like the others.
    """
    layers = _deeply(backend, answers.layers, answers.deep)
    second = _run_port(backend, answers.item, answers.seconds, layers=layers)
    if isinstance(second, RunError):
        what = "the first run of a shape is followed by one that fails" if new else "a second run fails"
        others = list(asked(backend, answers, tuple(found)))[:1]
    else:
        what = "the first run of a shape differs from its second" if new else "a second run gives something else"
        names = asked(backend, answers, tuple({**found, **second}))
        others = [name for name in names if not _same_bits(found.get(name), second.get(name))]
    if not others:
        return
    compared = {comparison.layer: comparison for comparison in compare_port(backend, answers, second, plan, AGAIN)}
    for layer in others:
        told = compared.get(layer)
        if told is None:  # the first run alone gave it, and nothing of the original has its name
            clip, tolerance = f"{answers.item.name}{AGAIN}", tolerance_of(backend, answers, plan)
            reason = f"it gives {layer} no more"
            told = Comparison(backend.name, answers.reference, clip, layer, tolerance, "fail", reason)
        yield replace(told, status="fail", reason=f"{what}; {told.reason}".removesuffix("; "))


def _same_bits(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _otherwise(backend: OnnxBackend | TransformersBackend, answers: Answers, plan: Plan) -> Iterator[Comparison]:
    """Run a graph in another session, otherwise optimised, or a model with attention computed otherwise."""
    outputs: Embeddings | RunError
    layers = _deeply(backend, answers.layers, answers.deep)
    try:
        with timed(answers.seconds, backend.name):
            other = backend.otherwise_optimised() if isinstance(backend, OnnxBackend) else backend.otherwise
        outputs = _run_port(other, answers.item, answers.seconds, layers=layers)
    except InputError as error:
        outputs = RunError(*error.problems)
    yield from compare_port(backend, answers, outputs, plan, f", {backend.other_way}")


def _run(backend: Backend, item: Input, seconds: dict[str, float], *, layers: bool) -> Embeddings:
    with timed(seconds, backend.name):
        return backend.run(item.waveform, layers=layers)


def _run_port(backend: Backend, item: Input, seconds: dict[str, float], *, layers: bool) -> Embeddings | RunError:
    """The outputs, or why there are none: that is the port's failure, and the others go on."""
    try:
        return _run(backend, item, seconds, layers=layers)
    except RunError as error:
        return error
