"""Verifying one encoder: run every backend on every input, then compare."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of
from aves_convert.sounds.clip import SAMPLE_RATE, AnyClip
from aves_convert.sounds.signals import reference_signals
from aves_verify.audit.audit import Audit, audit
from aves_verify.backends.backend import implementation
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.recorded import RecordedBackend
from aves_verify.backends.separate import SeparateBackend, about
from aves_verify.comparison.compare import Comparison
from aves_verify.comparison.evidence import Kept
from aves_verify.comparison.task_cost import TaskSamples
from aves_verify.explanation.sensitivity import characterise
from aves_verify.explanation.worst import explain_worst
from aves_verify.loading.against_original import copy_problems
from aves_verify.loading.load import Loaded, load
from aves_verify.report.report import ConfigReport
from aves_verify.sounds.inputs import Input, count, inputs, of_length
from aves_verify.sounds.memory import available, needed, unusable
from aves_verify.sounds.naming import short_names
from aves_verify.sounds.probes import COUNT, calls_probe, long_probe, probes
from aves_verify.sounds.ran import InputFacts, Ran, what_ran
from aves_verify.subjects.identity import claims, misnamed
from aves_verify.subjects.subject import Subject
from aves_verify.verification.answers import timed
from aves_verify.verification.comparing import compare_input, runs_again
from aves_verify.verification.plan import Plan
from aves_verify.verification.progress import Progress
from aves_verify.verification.self_description import description_notes, description_problems, fixed_samples, onnx_of

_LONGEST = 600 * SAMPLE_RATE  # samples of which it is asked whether they fit into memory
_LAYERS_SAMPLES = 10 * SAMPLE_RATE  # at most, of a clip whose layers are compared unasked


class PartlyVerifiedError(Exception):
    """A verification that ended before its last input; what it had compared is in its report."""

    def __init__(self, report: ConfigReport, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.report = report
        self.cause = cause


def why_stopped(error: BaseException) -> str:
    """Say why a subject has no whole report."""
    if isinstance(error, InputError):
        return reason_of(error)
    if isinstance(error, Exception):
        return f"the run ended with {type(error).__name__}: {reason_of(error)}"
    return "the run was stopped"


def verify_subject(subject: Subject, plan: Plan, progress: Progress = lambda *_: None) -> ConfigReport:
    """Compare a subject's ports with its original on every clip, padded and in a batch.

    The reference is fairseq; where that is waived, TorchAudio. Weights of another configuration of the catalogue are
    told of where the subject goes by the name of one, or fails. Raises InputError for a missing or unusable file.
    """
    plan = plan.of(subject)
    seconds = dict.fromkeys(("load", *plan.backends, "exact"), 0.0)
    progress("loading", 0, 1)
    with timed(seconds, "load"):
        loaded = load(subject, plan.backends, plan.options)
    progress("looking inside", 0, 1)
    clips, unusable = _usable(loaded, plan)
    audits = _audited(loaded, seconds)
    inside = [problem for audit in audits for problem in audit.problems]
    comparisons: list[Comparison] = []
    kept, tasks = Kept(), TaskSamples()
    ran: list[InputFacts] = []
    shapes: set[tuple[int, ...]] = set()  # that were run before
    failing: dict[str, NDArray[np.float32]] = {}  # inputs beside the clips, which are kept anyway
    extra = None if plan.layers == "all" else _with_layers(loaded, clips)
    short = short_names([clip.name for clip in clips])
    try:
        for done, item in enumerate(_given(loaded, clips, plan)):
            progress(short(item.name), done, count(clips) + COUNT)
            layers = plan.layers == "all" or (item.clip is not None and item.clip is extra)
            again = runs_again(item, shapes)
            compared = list(compare_input(loaded, item, plan, seconds, kept, tasks, layers=layers, shapes=shapes))
            comparisons += compared
            if item.clip is None and len(item.waveform) == 1 and any(c.status == "fail" for c in compared):
                failing[item.name] = item.waveform
            ran.append(InputFacts.of(item, loaded.config.frames(item.waveform.shape[1]), repeated=again))
    except BaseException as error:
        if not comparisons:
            raise
        problems = (*loaded.problems, *inside, f"not verified to its end: {why_stopped(error)}")
        partly = ConfigReport(
            subject.name, subject.source, loaded.backends[0].name, {}, tuple(comparisons), seconds, problems
        )
        raise PartlyVerifiedError(partly, error) from error
    if plan.explain and clips:
        progress("explaining", 0, 1)
    explanations = explain_worst(loaded, clips, comparisons, failing) if plan.explain else ()
    if plan.characterise and clips:
        progress("characterising", 0, 1)
    sha256 = subject.sha256({implementation(name).reads for name in plan.backends})
    backends = {backend.name: about(backend) for backend in loaded.backends}
    running = [f"{name}: {problem}" for name, known in backends.items() for problem in known.problems]
    described = [*description_problems(loaded, sha256, subject.manifest), *_of_copy(subject, loaded)]
    report = ConfigReport(
        name=subject.name,
        source=subject.source,
        reference=loaded.backends[0].name,
        sha256=sha256,
        comparisons=tuple(comparisons),
        seconds=seconds,
        problems=(*subject.problems, *loaded.problems, *described, *unusable, *inside, *running),
        notes=tuple(description_notes(loaded, subject.manifest)),
        backends={name: {**known.settings, "version": known.version} for name, known in backends.items()},
        ran=_what_ran(loaded, plan, ran, clips),
        explanations=explanations,
        weights=loaded.weights,
        audits=audits,
        sensitivities=characterise(loaded, clips) if plan.characterise else (),
        clips=clips,
        evidence=kept.found(),
        costs=tasks.found(),
    )
    if report.passed and not claims(subject):
        return report
    return replace(report, problems=(*report.problems, *misnamed(subject, report.sha256)))


def _of_copy(subject: Subject, loaded: Loaded) -> Iterator[str]:
    """What is wrong with a bundle's safetensors copy, where it is here; one that is missing is told with the files."""
    if subject.copy is not None and subject.copy.is_file() and loaded.exact is not None:
        yield from copy_problems(subject.copy, loaded.exact.weights())


def _audited(loaded: Loaded, seconds: dict[str, float]) -> tuple[Audit, ...]:
    """What is seen inside the graphs. TorchAudio's operators are the original's own, and its weights are compared."""
    graphs = [each for each in loaded.backends[1:] if isinstance(each, OnnxBackend) and each.fixed_batch in (None, 1)]
    if not graphs:
        return ()
    seconds["audit"] = 0.0
    with timed(seconds, "audit"):
        return tuple(audit(graph, loaded) for graph in graphs)


def _given(loaded: Loaded, clips: tuple[AnyClip, ...], plan: Plan) -> Iterator[Input]:
    """What the encoders are run on: the clips, padded and in a batch too, and what is drawn anew for every run.

    Where one takes a fixed number of samples alone, all of it is cut to that, or repeated up to it.
    """
    fixed = fixed_samples(loaded)
    for item in _of_any_length(loaded, clips, plan):
        samples = item.waveform.shape[1]
        if fixed is None or samples == fixed:
            yield item
        else:
            yield replace(item, waveform=item.waveform[:, np.arange(fixed) % samples])


def _of_any_length(loaded: Loaded, clips: tuple[AnyClip, ...], plan: Plan) -> Iterator[Input]:
    geometry = loaded.config
    yield from inputs(clips, receptive_field=geometry.receptive_field, normalize=loaded.normalize)
    if not _is_probed(loaded, clips):
        return
    yield from probes(plan.seed, receptive_field=geometry.receptive_field, hop=geometry.hop, normalize=loaded.normalize)
    yield calls_probe(plan.seed, receptive_field=geometry.receptive_field, normalize=loaded.normalize)
    if any(backend.kind != "torchaudio" for backend in loaded.backends[1:]):
        longest = range(_LONGEST + 1)
        fitting = bisect_right(longest, available(), key=lambda samples: needed(geometry, samples)) - 1
        yield long_probe(plan.seed, geometry, fitting, normalize=loaded.normalize)


def _is_probed(loaded: Loaded, clips: tuple[AnyClip, ...]) -> bool:
    """A recording has no outputs for what is drawn today."""
    return bool(clips) and not isinstance(loaded.backends[0], RecordedBackend)


def _what_ran(loaded: Loaded, plan: Plan, facts: list[InputFacts], clips: tuple[AnyClip, ...]) -> Ran | None:
    onnx = onnx_of(loaded)
    levels = () if onnx is None else (onnx.optimisation, onnx.other_optimisation)
    return what_ran(facts, seed=plan.seed if _is_probed(loaded, clips) else None, optimisations=levels)


def _usable(loaded: Loaded, plan: Plan) -> tuple[tuple[AnyClip, ...], list[str]]:
    """The clips that give a frame at least and fit into memory, and what is wrong with the others."""
    geometry, fixed = loaded.config, fixed_samples(loaded)
    clips, problems, free = [], [], available()
    for given in plan.clips or reference_signals(receptive_field=geometry.receptive_field, hop=geometry.hop):
        clip = given if fixed is None else of_length(given, fixed)
        problem = unusable(clip, geometry, free, layers=plan.layers == "all" or bool(loaded.named))
        if problem:
            problems.append(problem)
        else:
            clips.append(clip)
    return tuple(clips), problems


def _with_layers(loaded: Loaded, clips: tuple[AnyClip, ...]) -> AnyClip | None:
    """The clip on which the layers of a graph that gives them are compared though nobody asked: the shortest."""
    reference, *ports = loaded.backends
    graphs = [port for port in ports if isinstance(port, SeparateBackend)]
    if not graphs or not all(graph.gives_layers for graph in graphs):
        return None
    if isinstance(reference, RecordedBackend) and reference.about.layers != "all":
        return None
    shortest = min(clips, key=lambda clip: clip.samples, default=None)
    return shortest if shortest is not None and shortest.samples <= _LAYERS_SAMPLES else None
