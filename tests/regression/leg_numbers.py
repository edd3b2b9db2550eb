"""In a leg: run the encoders of each model, and hold them against the goldens."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tests.regression.golden import Golden, clip_hashes, sampled, values, waveforms
from tests.regression.leg_files import Ported

from aves_convert.weights.state_dict import read_state_dict
from aves_convert.weights.to_torchaudio import to_torchaudio
from aves_verify.backends.backend import Backend
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.comparison.compare import TOLERANCES, Comparison, Tolerance, compare
from aves_verify.verification.rounding import in_float32

# Twice what the verifier allows beside one and the same torch. Another torch adds up in another order, and of a clip of
# silence, whose frames are all one, a sample holds no more than some two dozen values: there 4.4 was seen. One matrix
# that went through half precision: 28 to 64.
ERROR_RATIO = 8.0
LIMITS: Mapping[str, Tolerance] = {
    # fairseq may differ from itself by what its port may: that runs the same operators. The golden's own error is left
    # out of the difference, as beside another torch it is not the same.
    "fairseq": replace(TOLERANCES["torchaudio"], error_ratio=ERROR_RATIO),
    "torchaudio": replace(TOLERANCES["torchaudio"], error_ratio=ERROR_RATIO),
    "onnx": replace(TOLERANCES["onnx"], error_ratio=ERROR_RATIO),
    "transformers": replace(TOLERANCES["transformers"], error_ratio=ERROR_RATIO),
}


@dataclass(frozen=True)
class Numbers:
    """How far one backend is from the golden of one model. Differences are of the final embeddings (and logits)."""

    model: str
    backend: str
    max_abs: float
    mean_abs: float
    error_ratio: float  # the median over clips: RMS error against float64 over that of the original in its own time
    worst_ratio: float  # the largest of any clip and layer
    values: int  # compared, of all layers
    failures: tuple[str, ...]


def numbers(ported: Ported, backend: Backend, golden: Golden, *, called: str | None = None) -> Numbers:
    """Run a backend on all clips of the golden, every layer, and compare."""
    normalize = ported.checkpoint.task_config.get("normalize") is True
    signals = waveforms(ported.config, normalize=normalize)
    clips = {clip: signals[clip] for clip in golden.clips if clip in signals}
    if clip_hashes(clips) != golden.provenance["clips_sha256"]:
        raise ValueError(f"{ported.name}: the reference signals are not those of the golden: SHA-256 differs")
    found = sampled(lambda waveform: backend.run(waveform, layers=True), clips, values(ported.name))
    name = called or backend.name
    missing = [layer for layer in golden.original if layer not in found]
    left = _LeftByFloat32(ported, clips, tuple(golden.original))
    comparisons = list(_comparisons(found, golden, name, LIMITS[backend.kind], left.of))
    final = [comparison for comparison in comparisons if not comparison.layer.startswith("layer.")]
    failed = sorted((c for c in comparisons if c.status == "fail"), key=_ratio, reverse=True)
    return Numbers(
        model=ported.name,
        backend=name,
        max_abs=max(c.max_abs for c in final),
        mean_abs=statistics.fmean(c.mean_abs for c in final),
        error_ratio=statistics.median(_ratio(c) for c in final),
        worst_ratio=max(map(_ratio, comparisons)),
        values=sum(x.size for x in found.values()),
        failures=(*(f"no output {layer}" for layer in missing), *map(_told, failed)),
    )


class _LeftByFloat32:
    """The original in float32, computed here in other ways: asked for where a port is farther off than it was."""

    def __init__(self, ported: Ported, clips: Mapping[str, NDArray[np.float32]], layers: Sequence[str]) -> None:
        self.ported, self.clips, self.layers = ported, clips, layers
        self.of = functools.cache(self._of)  # of a clip, by layer, as the golden has it [1, values]

    @functools.cached_property
    def _exact(self) -> TorchaudioBackend:
        original = to_torchaudio(self.ported.checkpoint, allow_non_finite=True)  # not what was made of it, and judged
        return TorchaudioBackend(original.config, original.state_dict, dtype=torch.float64)

    def _of(self, clip: str) -> list[dict[str, NDArray[Any]]]:
        outputs = in_float32(self._exact, self.ported.config, self.clips[clip], self.layers)
        count = values(self.ported.name)
        return [sampled(lambda _, way=way: way, {clip: self.clips[clip]}, count) for way in outputs]  # type: ignore[misc]


def _comparisons(
    found: Mapping[str, NDArray[Any]],
    golden: Golden,
    backend: str,
    tolerance: Tolerance,
    float32: Callable[[str], Sequence[Mapping[str, NDArray[Any]]]],
) -> Iterator[Comparison]:
    for layer, original in golden.original.items():
        for i, clip in enumerate(golden.clips):
            if layer not in found:
                continue
            compared = functools.partial(
                compare,
                found[layer][i][None],
                original[i][None],
                backend=backend,
                reference_name="the golden",
                clip=clip,
                layer=layer,
                tolerance=tolerance,
                exact=golden.exact[layer][i][None],
            )
            first = compared()
            yield first if first.status != "fail" else compared(float32=[way[layer] for way in float32(clip)])


def _told(c: Comparison) -> str:
    """A failure in words; where in the sample it is tells nothing."""
    if c.noise is None:  # not even computed: NaN, another shape
        return f"{c.clip}, {c.layer}: {c.reason}"
    return (
        f"{c.clip}, {c.layer}: differs from the golden by up to {c.max_abs:.1e}; its RMS error against float64 is "
        f"{c.noise.ratio:.3g} times the original's own ({c.noise.port:.1e} against {c.noise.reference:.1e}) where "
        f"{c.tolerance.error_ratio:g} times is allowed, beside {c.tolerance.atol:g} + {c.tolerance.rtol:g} |golden|"
    )


def _ratio(comparison: Comparison) -> float:
    return np.inf if comparison.error_ratio is None else comparison.error_ratio


def backends(ported: Ported, *, fairseq: bool) -> Iterator[Backend]:
    """The original, where it is installed, and the two ports that this project runs by itself."""
    if fairseq:
        from aves_verify.backends.fairseq_hubert import FairseqBackend

        yield FairseqBackend(ported.checkpoint)
    yield TorchaudioBackend(ported.config, read_state_dict(ported.weights, ported.config))
    yield OnnxBackend(ported.graph, threads=torch.get_num_threads())
