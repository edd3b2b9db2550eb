"""Comparing one port's outputs on one input with what it is held against: all that it gives, by name."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aves_artifacts.bundle.outputs import EMBEDDINGS, FINAL, Output, is_deep, is_layer, is_of_heads, layer_name
from aves_convert.weights.torch_heads import nearest
from aves_verify.backends.backend import Backend, Embeddings, RunError
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.separate import SeparateBackend
from aves_verify.comparison.compare import Comparison, Tolerance, compare
from aves_verify.comparison.noise import MEASURE
from aves_verify.comparison.reduced import compare_reduced, held_to_flips
from aves_verify.comparison.units import Nearest, compare_units
from aves_verify.loading.load import Loaded
from aves_verify.sounds.inputs import Input
from aves_verify.verification.plan import Plan
from aves_verify.verification.rounding import in_float32


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the seconds that the block takes to those of this name."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[name] += time.perf_counter() - start


@dataclass
class Answers:
    """What the ports are held against on one input; what float32 leaves of it is computed where somebody asks."""

    loaded: Loaded
    item: Input
    expected: Embeddings
    seconds: dict[str, float]
    layers: bool  # whether each layer is compared
    deep: bool  # whether something of a layer is

    @property
    def reference(self) -> str:
        """The name of what the ports are held against."""
        return self.loaded.backends[0].name

    @cached_property
    def exact(self) -> Embeddings:
        """The exact answer; nothing where the input is not judged exactly."""
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
            return dict(self.loaded.exact.run(self.item.waveform, layers=self.deep))


def units_of(expected: Embeddings, loaded: Loaded) -> dict[str, NDArray[Any]]:
    """The units of a reference that gives its layers and knows no centroids, as a recording does."""
    found = {}
    for layer, centroids in loaded.heads.centroids.items():
        name, features = Output("units", layer).name, expected.get(layer_name(layer))
        if name in loaded.named and name not in expected and features is not None:
            found[name] = nearest(torch.tensor(features), torch.tensor(centroids)).numpy()
    return found


def compare_port(
    backend: Backend, answers: Answers, found: Embeddings | RunError, plan: Plan, how: str = ""
) -> Iterator[Comparison]:
    """One comparison for each layer that either gives; a port that fails to run, or lacks one, fails.

    ``how`` it was run stands behind the input's name.
    """
    reference, clip = answers.reference, f"{answers.item.name}{how}"
    tolerance = tolerance_of(backend, answers, plan)
    if isinstance(found, RunError):
        first, *_ = asked(backend, answers, ())
        yield Comparison(backend.name, reference, clip, first, tolerance, "fail", str(found))
        return
    expected = answers.expected
    if EMBEDDINGS in found:  # a second output of this name, which users ask for by it
        expected = {**expected, EMBEDDINGS: expected[FINAL]}
    for layer in asked(backend, answers, tuple(found)):
        if backend.kind == "reduced" and layer in found and layer in expected:
            yield _compare_reduced(backend, clip, layer, found[layer], expected[layer], answers, plan)
            continue
        if layer in found and layer in expected:
            yield _compare_layer(backend.name, clip, layer, found[layer], expected[layer], answers, tolerance)
            continue
        has, lacks = (backend.name, reference) if layer in found else (reference, backend.name)
        reason = f"{has} gives {layer}, {lacks} does not"
        yield Comparison(backend.name, reference, clip, layer, tolerance, "fail", reason)


def tolerance_of(backend: Backend, answers: Answers, plan: Plan) -> Tolerance:
    """What a port may differ by; less strict where there is no exact answer."""
    return plan.tolerances["unmeasured" if answers.loaded.exact is None else backend.kind]


def asked(backend: Backend, answers: Answers, came_out: Sequence[str]) -> tuple[str, ...]:
    """What a port is held to: all that it gives, of layers what somebody named or asked for.

    One that gives the embeddings must give what the original does beside them, a head's logits and, where they are
    asked for, its layers, unless its outputs were named. Of a port that does not tell what it gives, all that came out
    is looked at.
    """
    gives: tuple[str, ...] = getattr(backend, "gives", ()) or (FINAL, *came_out)
    if FINAL in gives and not _is_named(backend, answers.loaded):
        gives = (*(name for name in answers.expected if not is_of_heads(name)), *gives)
    named = answers.loaded.named
    return tuple(
        name
        for name in dict.fromkeys(gives)
        if not is_deep(name) or name in named or (answers.layers and is_layer(name))
    )


def _is_named(backend: Backend, loaded: Loaded) -> bool:
    """Whether a graph says that its outputs were asked for by name; what it says is held against what it gives."""
    same = (port for port in loaded.backends if isinstance(port, OnnxBackend))
    metadata = next((port.metadata for port in same if port.path == getattr(backend, "path", None)), {})
    return "outputs" in metadata and "layers" not in metadata


def _compare_layer(
    backend: str,
    clip: str,
    layer: str,
    port: NDArray[np.float32],
    expected: NDArray[np.float32],
    answers: Answers,
    tolerance: Tolerance,
) -> Comparison:
    """Compare one output, and look closer where a difference may be what float32 leaves of this input."""
    given, output = FINAL if layer == EMBEDDINGS else layer, Output.of(layer)
    if output is not None and output.kind == "units":
        return _compare_units(backend, clip, output, port, expected, answers, tolerance)

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


def _compare_reduced(
    backend: Backend,
    clip: str,
    layer: str,
    port: NDArray[np.float32],
    expected: NDArray[np.float32],
    answers: Answers,
    plan: Plan,
) -> Comparison:
    """Compare an output of a smaller graph: it is held to what it may cost, and the exact answer is not asked for."""
    assert isinstance(backend, SeparateBackend)  # noqa: S101 - every graph is
    bound, output = plan.bounds[backend.row.reads], Output.of(layer)
    if output is not None and output.kind == "units":
        found = _compare_units(backend.name, clip, output, port, expected, answers, plan.tolerances["reduced"])
        return held_to_flips(found, bound)
    names = {"backend": backend.name, "reference_name": answers.reference, "clip": clip, "layer": layer}
    return compare_reduced(port, expected, bound, **names)


def _compare_units(
    backend: str,
    clip: str,
    output: Output,
    port: NDArray[Any],
    expected: NDArray[Any],
    answers: Answers,
    tolerance: Tolerance,
) -> Comparison:
    """Compare units; the exact features are asked for where a frame flips."""
    assert output.layer is not None  # noqa: S101 - units are a layer's
    features, nearest = layer_name(output.layer), None
    if answers.loaded.exact is not None and port.shape == expected.shape and not np.array_equal(port, expected):
        centroids = answers.loaded.heads.centroids[output.layer]
        nearest = Nearest(answers.measured[features], answers.expected[features], centroids)
    return compare_units(
        port,
        expected,
        nearest,
        backend=backend,
        reference_name=answers.reference,
        clip=clip,
        layer=output.name,
        tolerance=tolerance,
    )


def _asks_for_more(found: Comparison) -> bool:
    """Could what float32 leaves of this input explain a failure? Or is the original itself in doubt?"""
    scale = found.noise.scale if found.noise is not None else 1.0
    if not found.mean_abs <= MEASURE * scale:
        return False
    doubtful = found.noise is not None and found.noise.is_doubtful
    return doubtful or (found.status == "fail" and found.snr_db is not None)
