"""Looking into one ONNX port: each stage's and each node's own error on a second of sound, and what its file says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.messages import listed, printable
from aves_artifacts.bundle.manifest import REDUCED
from aves_artifacts.bundle.outputs import EMBEDDINGS, FINAL, GraphOutputs, Output
from aves_convert.graph_files.weights import graph_weights
from aves_convert.sounds.clip import SAMPLE_RATE, Clip
from aves_convert.sounds.network_input import network_input
from aves_convert.sounds.signals import reference_signals
from aves_verify.audit.attributes import attribute_problems
from aves_verify.audit.functions import Weight
from aves_verify.audit.graph_values import Traced, Values, traced
from aves_verify.audit.merged import inside_merged
from aves_verify.audit.reduced_steps import reduced_steps, reduced_weight
from aves_verify.audit.stages import LIMIT, PEAK_LIMIT, StageError, stage_errors
from aves_verify.audit.steps import OUTPUT, PROJECTIONS, steps
from aves_verify.backends.backend import RunError
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.loading.load import Loaded
from aves_verify.operators.nodes import LIMITS, NodeError, NodeErrors, node_errors
from aves_verify.operators.table import QUANTISING
from aves_verify.sounds.inputs import of_length

_LONGEST = SAMPLE_RATE // 2  # samples that are looked at of each sound
# An ordinary sound, on which half precision shows, and one with an offset, on which norms over the clip do.
_CLIPS = ("chirp", "dc_offset")
_WITH_NODES = ("chirp",)  # what the runtime makes of an operator shows on any
_MAX_TOLD = 5  # stages, or nodes, named one by one
# A product that is farther from the known ways to round x than this share of what they cost, in a graph that rounds
# others in one of them, has another scale or another zero.
_OFF_SCHEME = 0.5
OTHERWISE = "its scale or its zero is another than that by which x was rounded"
SOMETHING_ELSE = 0.5  # share of a value's RMS from which on an error is none
_NOTHING: NDArray[Any] = np.zeros(0, np.float32)  # an output that cannot be read


@dataclass(frozen=True)
class AuditedClip:
    """What was seen of a graph on one sound."""

    clip: str
    seconds: float  # of the sound
    stages: tuple[StageError, ...]
    nodes: NodeErrors | None = None


@dataclass(frozen=True)
class Audit:
    """What was seen inside one port."""

    backend: str
    clips: tuple[AuditedClip, ...]
    attributes: tuple[str, ...] = ()  # what the file says otherwise than the original has it
    narrow: tuple[str, ...] = ()  # what is stored in fewer bits than float32 has, as far as it is written in the file
    failure: str = ""  # why nothing was looked into
    seconds: float = field(default=0.0, compare=False)  # it took

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong, in sentences."""
        found = [self.failure] if self.failure else []
        found += [*self.attributes, *self.narrow]
        found += _listed([_stage_text(stage, clip, self._bits) for stage, clip in self._departing()], "stages")
        found += _listed([f"{stage.name}: {OTHERWISE}" for stage in self._otherwise()], "stages")
        found += _listed([_node_text(node) for clip in self.clips for node in _departing_nodes(clip)], "nodes")
        return tuple(f"{self.backend}: {problem}" for problem in found)

    @property
    def _bits(self) -> str:
        """What an error is measured by: in a smaller graph also what rounding to its types costs."""
        return "its types leave" if self.backend in REDUCED else "float32 leaves"

    @property
    def largest(self) -> tuple[StageError, AuditedClip] | None:
        """The stage that is nearest to the limits, or farthest beyond them, and where."""
        found = [(stage, clip) for clip in self.clips for stage in clip.stages if stage.error is not None]
        return max(found, key=lambda item: severity(item[0]), default=None)

    @property
    def text(self) -> str:
        """What was looked at and what was not, in a sentence or two; empty where nothing was."""
        if not self.clips:
            return ""
        told = []
        stages = self.clips[0].stages
        if stages:
            found = sum(stage.error is not None for stage in stages)
            seconds = " and ".join(f"{clip.seconds:.2g} s of {clip.clip}" for clip in self.clips)
            told.append(f"{found} of {len(stages)} stages found inside the graph, on {seconds}")
        if self.largest is not None:
            stage, clip = self.largest
            told.append(
                f"the largest error of one stage is {stage.error.ratio:.2g} times what {self._bits} there, "  # type: ignore[union-attr]
                f"in {stage.name}, clip {clip.clip}"
            )
        for clip in self.clips:
            if clip.nodes is not None:
                left = [f"{count} {printable(name)}" for name, count in clip.nodes.not_looked_at.items()]
                without = f", but not {listed(left, _MAX_TOLD)}" if left else ""
                told.append(f"{len(clip.nodes.looked_at)} nodes computed once more in float64{without}")
        return f"{self.backend}: {'; '.join(told)}"

    def _otherwise(self) -> list[StageError]:
        """Products in few bits that are off in a direction, or round x otherwise than others, in a known way, do."""
        found = [(stage, stage.product) for clip in self.clips for stage in clip.stages if stage.product is not None]
        known = any(product.is_known for _, product in found)
        otherwise = {
            stage.site: stage
            for stage, product in found
            if product.is_biased or (known and not product.beside < _OFF_SCHEME)
        }
        return [stage for stage in otherwise.values() if not stage.departs]

    def _departing(self) -> list[tuple[StageError, AuditedClip]]:
        """Each stage once, on the clip that shows it most."""
        worst: dict[str, tuple[StageError, AuditedClip]] = {}
        for clip in self.clips:
            for stage in clip.stages:
                if stage.departs and (stage.site not in worst or severity(stage) > severity(worst[stage.site][0])):
                    worst[stage.site] = stage, clip
        return list(worst.values())


def severity(stage: StageError) -> float:
    """A stage's error as a share of what is allowed; 0 where it was not found."""
    return 0.0 if stage.error is None else max(stage.error.ratio / LIMIT, stage.error.peak / PEAK_LIMIT)


def audit(backend: OnnxBackend, loaded: Loaded) -> Audit:
    """Look into an ONNX port. Without the original's weights no stage can be judged, but nodes and attributes can."""
    start = time.perf_counter()
    clips = list(_clips(loaded, backend.fixed_samples))
    waveforms = [network_input(clip, normalize=loaded.normalize) for clip in clips]
    try:
        graph: Traced = backend.apart(traced.__module__, traced.__name__, *waveforms)
    except RunError as error:
        return Audit(backend.name, (), failure=f"not looked into: {error}")
    weights = dict(graph_weights(backend.path))
    looked_into = []
    for clip, waveform, values in zip(clips, waveforms, graph.values, strict=True):
        value = {**weights, **values.arrays}.get
        narrow = backend.is_reduced
        nodes = node_errors(graph.nodes, graph.opset, value, narrow=narrow) if clip.name in _WITH_NODES else None
        merged = list(inside_merged(graph.nodes, value))
        stages = _stages(graph, values, waveform, loaded, backend.name, merged)
        looked_into.append(AuditedClip(clip.name, clip.duration, stages, nodes))
    right = {stage.value for stage in looked_into[0].stages if stage.value is not None and not stage.departs}
    value = {**weights, **graph.values[0].arrays}.get
    return Audit(
        backend=backend.name,
        clips=tuple(looked_into),
        attributes=attribute_problems(graph.nodes, loaded.config, value, graph.entry, frozenset(right)),
        narrow=() if backend.is_reduced else tuple(_narrow(graph)),
        seconds=time.perf_counter() - start,
    )


def _clips(loaded: Loaded, fixed: int | None) -> Iterator[Clip]:
    config = loaded.config
    signals = {clip.name: clip for clip in reference_signals(receptive_field=config.receptive_field, hop=config.hop)}
    samples = fixed or max(_LONGEST, config.receptive_field)
    for name in _CLIPS:
        yield of_length(replace(signals[name], source="synthesised"), samples)


def _stages(
    graph: Traced,
    values: Values,
    waveform: NDArray[np.float32],
    loaded: Loaded,
    port: str,
    merged: Sequence[tuple[str, NDArray[Any]]],
) -> tuple[StageError, ...]:
    if loaded.exact is None:
        return ()
    outputs = {site: name for site, name in _outputs(graph) if site == FINAL or _is_known(site, loaded)}
    where = steps(loaded.config, tuple(outputs))
    ends = [step.site for step in where if step.operator == OUTPUT]
    arrays = {**values.arrays, **{site: values.arrays.get(outputs[site], _NOTHING) for site in ends}}
    weight, reduced = _weights(loaded.exact), loaded.reduced.get(port)
    if reduced is not None:
        where, weight = reduced_steps(where, reduced.kinds, port), reduced_weight(weight, reduced.values)
    projected = [step.site for step in where if step.operator in PROJECTIONS]
    # one operator of each layer, in their order: nothing else tells what is hidden in each
    certain = dict(zip(projected, merged, strict=True)) if len(projected) == len(merged) else {}
    return stage_errors(where, weight, waveform, arrays, certain)


def _outputs(graph: Traced) -> Iterator[tuple[str, str]]:
    """What the encoder returns, and the graph's names of it."""
    for site, name in GraphOutputs(graph.outputs).called.items():
        output = Output.of(site)
        if site == FINAL or (output is not None and site != EMBEDDINGS):
            yield site, name


def _is_known(site: str, loaded: Loaded) -> bool:
    """Whether there is what an output is made of: a port alone may have no projections."""
    output = Output.of(site)
    return output is not None and loaded.heads.has(output)


def _weights(exact: TorchaudioBackend) -> Weight:
    """The original's weights in float64, by the names that the state dict has."""
    return exact.tensors().__getitem__


def _narrow(graph: Traced) -> Iterator[str]:
    """What is stored in few bits and cannot be read back; what can is among the nodes."""
    for name, kind in graph.values[0].narrow.items():
        if name not in graph.values[0].arrays:
            yield f"{printable(name)} is stored in {kind}"
    for node in graph.nodes:
        if node.op_type in QUANTISING:
            yield f"{node.op_type} stores {printable(node.input[0])} in whole numbers of few bits"


def _departing_nodes(clip: AuditedClip) -> Iterator[NodeError]:
    return (node for node in (clip.nodes.looked_at if clip.nodes else ()) if node.departs)


def _listed(problems: Sequence[str], what: str) -> list[str]:
    shown = list(problems[:_MAX_TOLD])
    if len(problems) > _MAX_TOLD:
        shown.append(f"and {len(problems) - _MAX_TOLD} more {what} whose own errors are no rounding")
    return shown


def _stage_text(stage: StageError, clip: AuditedClip, bits: str) -> str:
    error, here = stage.error, stage.name
    assert error is not None  # noqa: S101 - it departs
    where = f"clip {clip.clip}, {here}" if not stage.between else f"clip {clip.clip}, from {stage.between[0]} to {here}"
    if error.relative > SOMETHING_ELSE:
        return f"{where}: the port computes something else"
    named = f" (the graph's {printable(stage.value)})" if stage.value not in (None, stage.site) else ""
    if error.ratio > LIMIT:
        return (
            f"{where}{named}: its own error is {error.ratio:.3g} times what {bits} there "
            f"({error.relative:.1e} of the value), where {LIMIT:g} times is allowed"
        )
    return (
        f"{where}{named}: an element's own error is {error.peak:.3g} times what {bits} there, "
        f"where {PEAK_LIMIT:g} times is allowed"
    )


def _node_text(node: NodeError) -> str:
    if node.kind == "moved":
        return f"{node.operator} (the graph's {printable(node.value)}) changes the numbers that it moves"
    return (
        f"{node.operator} (the graph's {printable(node.value)}) is off by {node.units:.3g} half steps of float32, "
        f"where {LIMITS[node.kind]:g} are allowed"
    )
