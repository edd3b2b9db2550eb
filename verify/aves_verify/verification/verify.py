"""Verifying one encoder: run every backend on every input, then compare."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from aves_verify.backends.backend import Backend, Embeddings, RunError
from aves_verify.backends.loading import Loaded, load
from aves_verify.backends.recorded import RecordedBackend
from aves_verify.comparison.compare import Comparison, compare
from aves_verify.comparison.evidence import Kept
from aves_verify.explanation.sensitivity import characterise
from aves_verify.explanation.worst import explain_worst
from aves_verify.report.report import ConfigReport
from aves_verify.sounds.clip import SAMPLE_RATE, AnyClip
from aves_verify.sounds.inputs import Input, count, inputs
from aves_verify.sounds.memory import available, unusable
from aves_verify.sounds.naming import short_names
from aves_verify.sounds.signals import reference_signals
from aves_verify.subjects.identity import claims, misnamed
from aves_verify.subjects.subject import Subject
from aves_verify.verification.plan import Plan
from aves_verify.verification.progress import Progress
from aves_verify.verification.self_description import description_notes, description_problems, onnx_of

_LAYERS_SAMPLES = 10 * SAMPLE_RATE  # at most, of a clip whose layers are compared unasked


def verify_subject(subject: Subject, plan: Plan, progress: Progress = lambda *_: None) -> ConfigReport:
    """Compare a subject's ports with its original on every clip, padded and in a batch.

    The reference is fairseq; where that is waived, TorchAudio. Weights of another configuration of the catalogue are
    told of where the subject goes by the name of one, or fails. Raises InputError for a missing or unusable file.
    """
    seconds = dict.fromkeys(("load", *plan.backends, "exact"), 0.0)
    progress("loading", 0, 1)
    with _timed(seconds, "load"):
        loaded = load(subject, plan.backends)
    clips, unusable = _usable(loaded, plan)
    comparisons: list[Comparison] = []
    kept = Kept()
    given = inputs(clips, receptive_field=loaded.config.receptive_field, normalize=loaded.normalize)
    extra = None if plan.layers == "all" else _with_layers(loaded, clips)
    short = short_names([clip.name for clip in clips])
    for done, item in enumerate(given):
        progress(short(item.name), done, count(clips))
        layers = plan.layers == "all" or (item.clip is not None and item.clip is extra)
        comparisons += _compare(loaded, item, plan, seconds, kept, layers=layers)
    if plan.explain and clips:
        progress("explaining", 0, 1)
    explanations = explain_worst(loaded, clips, comparisons) if plan.explain else ()
    if plan.characterise and clips:
        progress("characterising", 0, 1)
    sha256 = subject.sha256(plan.backends)
    report = ConfigReport(
        name=subject.name,
        source=subject.source,
        reference=loaded.backends[0].name,
        sha256=sha256,
        comparisons=tuple(comparisons),
        seconds=seconds,
        problems=(*subject.problems, *loaded.problems, *description_problems(loaded, sha256), *unusable),
        notes=tuple(description_notes(loaded)),
        explanations=explanations,
        weights=loaded.weights,
        sensitivities=characterise(loaded, clips) if plan.characterise else (),
        clips=clips,
        evidence=kept.found(),
    )
    if report.passed and not claims(subject):
        return report
    return replace(report, problems=(*report.problems, *misnamed(subject, report.sha256)))


def _usable(loaded: Loaded, plan: Plan) -> tuple[tuple[AnyClip, ...], list[str]]:
    """The clips that give a frame at least and fit into memory, and what is wrong with the others."""
    geometry = loaded.config
    clips, problems, free = [], [], available()
    for clip in plan.clips or reference_signals(receptive_field=geometry.receptive_field, hop=geometry.hop):
        problem = unusable(clip, geometry, free, layers=plan.layers == "all")
        if problem:
            problems.append(problem)
        else:
            clips.append(clip)
    return tuple(clips), problems


def _with_layers(loaded: Loaded, clips: tuple[AnyClip, ...]) -> AnyClip | None:
    """The clip on which the layers of a graph that gives them are compared though nobody asked: the shortest."""
    onnx, reference = onnx_of(loaded), loaded.backends[0]
    if onnx is None or not onnx.gives_layers:
        return None
    if isinstance(reference, RecordedBackend) and reference.about.layers != "all":
        return None
    shortest = min(clips, key=lambda clip: clip.samples, default=None)
    return shortest if shortest is not None and shortest.samples <= _LAYERS_SAMPLES else None


def _compare(
    loaded: Loaded,
    item: Input,
    plan: Plan,
    seconds: dict[str, float],
    kept: Kept,
    *,
    layers: bool,
) -> Iterator[Comparison]:
    reference, *ports = loaded.backends
    expected = dict(_run(reference, item, seconds, layers=layers))
    found: dict[str, Embeddings | RunError] = {}
    for backend in ports:
        found[backend.name] = _run_port(backend, item, seconds, layers=layers)
    with _timed(seconds, "exact"):
        exact = {} if loaded.exact is None else dict(loaded.exact.run(item.waveform, layers=layers))
    for backend in ports:
        outputs = found[backend.name]
        compared = list(_compare_port(backend, reference.name, item, outputs, expected, exact, plan))
        yield from compared
        if item.clip is not None and not isinstance(outputs, RunError):
            kept.add(next(c for c in compared if c.layer == "final"), outputs["final"], expected["final"])


def _run(backend: Backend, item: Input, seconds: dict[str, float], *, layers: bool) -> Embeddings:
    with _timed(seconds, backend.name):
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
            yield compare(
                found[layer],
                expected[layer],
                backend=backend.name,
                reference_name=reference,
                clip=item.name,
                layer=layer,
                tolerance=tolerance,
                exact=exact.get(layer),
            )
            continue
        has, lacks = (backend.name, reference) if layer in found else (reference, backend.name)
        reason = f"{has} gives {layer}, {lacks} does not"
        yield Comparison(backend.name, reference, item.name, layer, tolerance, "fail", reason)


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[name] += time.perf_counter() - start
