"""Reports made by hand from real comparisons of random arrays: every status, every part, names of every kind."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aves_convert.sounds.clip import Clip
from aves_verify.comparison.compare import Comparison, Tolerance, compare
from aves_verify.comparison.evidence import Evidence, evidence_of
from aves_verify.explanation.explain import Explanation, PointError
from aves_verify.explanation.sensitivity import Sensitivity
from aves_verify.report.report import ConfigReport, Report

ENVIRONMENT = {"python": "3.11.7", "torch": "2.15.0", "fairseq": None, "cpu": "A | <Processor>", "threads": 2}
HOSTILE = "<script>alert(1)</script>|`*$x_1$*`\x00\x1b[31m\nline\ud800 @everyone"
TOLERANCE = Tolerance(atol=3e-4, rtol=1e-5, error_ratio=32.0)
FRAMES, DIM = 60, 24


def clip(name: str, seconds: float = 1.2) -> Clip:
    time = np.arange(int(seconds * 16_000)) / 16_000
    waveform = 0.4 * np.sin(2 * np.pi * (300 + 1500 * time) * time)
    return Clip(name, waveform.astype(np.float32), "synthesised")


def comparison(name: str, kind: str, backend: str = "onnx", layer: str = "final", seed: int = 0) -> Comparison:
    """One of the kind "pass", "drift", "fail" or "broken"."""
    return _compared(name, kind, backend, layer, seed)[0]


def _compared(name: str, kind: str, backend: str, layer: str, seed: int) -> tuple[Comparison, Evidence | None]:
    noise = np.random.default_rng([seed, len(name)])
    exact = noise.standard_normal((1, FRAMES, DIM))
    exact[0, 5, :4] = 1e-6  # near zero
    reference = (exact + 1e-6 * noise.standard_normal(exact.shape)).astype(np.float32)
    size = {"pass": 1e-6, "drift": 2e-5, "fail": 1e-2, "broken": np.nan}[kind]
    port = (exact + size * noise.standard_normal(exact.shape)).astype(np.float32)
    found = compare(
        port,
        reference,
        backend=backend,
        reference_name="fairseq",
        clip=name,
        layer=layer,
        tolerance=TOLERANCE,
        exact=exact,
    )
    return found, evidence_of(port, reference)


def explanation(name: str, backend: str = "onnx") -> Explanation:
    sites = [(f"conv block {i}", "convolution") for i in range(3)] + [(f"layer {i}", "attention") for i in range(6)]
    stages = tuple(
        PointError(stage, operator, f"site.{i}", f"node_{i}", 1e-7, None if i == 4 else 1e-7 * (1 if i < 2 else 6))
        for i, (stage, operator) in enumerate(sites)
    )
    return Explanation(backend, name, 1.2, stages)


def config(
    name: str = "bio",
    kinds: Mapping[str, str] | None = None,
    *,
    layers: int = 0,
    problems: tuple[str, ...] = (),
    explained: bool = False,
) -> ConfigReport:
    """Two ports on clips of these kinds; TorchAudio always passes."""
    kinds = kinds or {"chirp": "pass", "noise": "pass"}
    comparisons: list[Comparison] = []
    evidence: dict[tuple[str, str], Evidence] = {}
    for backend in ("torchaudio", "onnx"):
        for seed, (clip_name, kind) in enumerate(kinds.items()):
            for layer in (*(f"layer.{i}" for i in range(layers)), "final"):
                held = kind if backend == "onnx" else "pass"
                found, seen = _compared(clip_name, held, backend, layer, seed)
                comparisons.append(found)
                if seen is not None:
                    evidence[backend, clip_name] = seen
    first = next(iter(kinds))
    return ConfigReport(
        name=name,
        source="stand-in",
        reference="fairseq",
        sha256={"fairseq": "0" * 64, "torchaudio": "1" * 64, "onnx": "2" * 64},
        comparisons=tuple(comparisons),
        seconds={"load": 1.0, "fairseq": 2.0, "torchaudio": 3.0, "onnx": 4.0, "exact": 5.0},
        problems=problems,
        explanations=(explanation(first),) if explained else (),
        sensitivities=(Sensitivity("gain of 0.5", "model", "onnx", 0.1, 0.01),) if explained else (),
        clips=tuple(clip(clip_name) for clip_name in kinds),
        evidence=evidence,
    )


def report(*configs: ConfigReport) -> Report:
    return Report(configs=configs or (config(),), environment=ENVIRONMENT, total_seconds=12.5)
