"""A corpus made up of random numbers that are plausible: ten thousand windows, two ports, and a few that fail."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from tests.support import hand_made

from aves_artifacts.bundle.report_document import STATUSES
from aves_convert.sounds.clip import SAMPLE_RATE
from aves_verify.comparison.compare import Comparison
from aves_verify.comparison.evidence import Evidence
from aves_verify.report.corpus import Corpus, Failure, Grid, Histogram, OutputTotals, WorstWindow
from aves_verify.report.report import ConfigReport

WINDOW, FRAMES, DIM = 10.0, 499, 768
RECORDINGS = ("sea/dawn/seal.wav", "sea/dusk/seal.wav", "sea/dusk/gull.flac", "wood/2024-05-01T04:30/owl.wav")
TINY = 1e-38


def corpus_config(name: str = "bio", *, windows: int = 10_000, worst: int = 12, failed: int = 3) -> ConfigReport:
    """Reference signals, the worst windows, and all of them; onnx fails in some where ``failed`` is not 0."""
    base = hand_made.config(name)
    drawn = _Sounds.draw(windows)
    looked = tuple(_worst(i, failed) for i in range(worst))
    failed = sum(window.comparison.status == "fail" for window in looked)
    found = tuple(_totals(backend, drawn, failed) for backend in ("torchaudio", "onnx"))
    whole = tuple(
        replace(
            hand_made.comparison(f"{windows:,} windows together", "pass", total.backend),
            status=max(total.statuses, key=STATUSES.index),
            reason=f"{failed} of {windows:,} windows fail" if total.statuses["fail"] else "40 windows drift near zero",
            max_abs=max(w.comparison.max_abs for w in looked if w.comparison.backend == total.backend),
        )
        for total in found
    )
    extreme = hand_made.comparison(f"{RECORDINGS[3]} @ 990 s", "drift")  # the worst in something, and not of the worst
    compared = (*base.comparisons, *(w.comparison for w in looked), extreme, *whole)
    corpus = Corpus(
        run="0123456789abcdef",
        recordings=412,
        windows=windows,
        planned=windows + 17 + (40 if failed else 0),
        seconds=float(drawn.seconds.sum()),
        window=WINDOW,
        hop=WINDOW,
        parts=100,
        missing=() if not failed else ("part-00017.parquet: not there", "part-00093.parquet: damaged"),
        unreadable=3 if failed else 0,
        skipped=17,
        totals=found,
        failures=_failures(failed),
        worst=looked,
        environments=({"cpu": "A | <Processor>", "onnxruntime": "1.23.0"}, {"cpu": "B", "onnxruntime": "1.23.0"}),
        listed=frozenset((c.clip, c.layer) for c in compared[len(base.comparisons) :]),
    )
    problems = ("2 of 100 parts are missing",) if failed else ()
    return replace(base, comparisons=compared, problems=problems, seconds={}, evidence={}, clips=(), corpus=corpus)


class _Sounds:
    """What each window sounds like, and how large the errors are there."""

    def __init__(self, level: NDArray[np.float64], seconds: NDArray[np.float64], offset: NDArray[np.float64]) -> None:
        self.level, self.seconds, self.offset = level, seconds, offset

    @classmethod
    def draw(cls, windows: int) -> _Sounds:
        random = np.random.default_rng(1)
        level = np.clip(random.normal(-38, 11, windows), -95, -3)
        ends = random.random(windows) < 0.04
        seconds = np.where(ends, random.uniform(0.1, WINDOW, windows), WINDOW)
        return cls(level, seconds, 10 ** random.normal(-4, 0.8, windows))

    def ratios(self, centre: float) -> NDArray[np.float64]:
        random = np.random.default_rng(2)
        quiet = np.maximum(0, -60 - self.level) * 0.02
        far = np.maximum(0, np.log10(self.offset) + 2.5) * 0.3
        return np.asarray(centre * 10 ** (random.normal(0, 0.07, len(self.level)) + quiet + far))


def _totals(backend: str, drawn: _Sounds, failed: int) -> OutputTotals:
    ratios = drawn.ratios(0.35 if backend == "torchaudio" else 0.8)
    windows = len(ratios)
    bad = failed if backend == "onnx" else 0
    statuses = {"pass": windows - bad - 40, "near-zero drift": 40, "fail": bad}
    elements = windows * FRAMES * DIM
    return OutputTotals(
        backend=backend,
        layer="final",
        windows=windows,
        statuses=Counter({status: count for status, count in statuses.items() if count}),
        elements=elements,
        rms=4e-7 if backend == "torchaudio" else 9e-7,
        measured=windows - bad,
        error_ratio=float(np.sqrt(np.mean(ratios**2))),
        differences=_differences(3e-7 if backend == "torchaudio" else 7e-7, elements),
        ratios=_counted(ratios, np.geomspace(1e-2, 1e2, 81)),
        grids=tuple(
            _grid(of, values, edges, ratios)
            for of, values, edges in (
                ("level", drawn.level, np.linspace(-100, 0, 41)),
                ("seconds", drawn.seconds, np.array([0, 0.1, 0.3, 1, 2, 5, 9.99, 20, 60])),
                ("offset", drawn.offset, np.array([0, *np.geomspace(1e-7, 1, 29)])),
            )
        ),
    )


def _differences(size: float, elements: int) -> Histogram:
    """As parts count them: eight bins for each doubling, the first from 0 on."""
    edges = np.array([0.0, *(2.0**-34 * 2 ** (np.arange(8 * 20) / 8))])
    drawn = np.abs(np.random.default_rng(3).standard_t(6, 200_000)) * size
    counts = np.histogram(np.clip(drawn, 0, edges[-2]), edges)[0]
    return Histogram(tuple(map(float, edges)), tuple(int(c * (elements // 200_000)) for c in counts))


def _counted(values: NDArray[np.float64], edges: NDArray[np.float64]) -> Histogram:
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    return Histogram(tuple(map(float, edges)), tuple(map(int, counts)))


def _grid(of: str, values: NDArray[np.float64], edges: NDArray[np.float64], ratios: NDArray[np.float64]) -> Grid:
    ratio_edges = np.geomspace(1e-2, 1e2, 33)
    held = np.clip(values, edges[0], edges[-1]), np.clip(ratios, ratio_edges[0], ratio_edges[-1])
    counts = np.histogram2d(*held, (edges, ratio_edges))[0].astype(int)
    return Grid(of, tuple(map(float, edges)), tuple(map(float, ratio_edges)), tuple(map(tuple, counts.tolist())))


def _worst(rank: int, failed: int) -> WorstWindow:
    """A window; of every other one the arrays are left out, and every third is of torchaudio."""
    recording, start = RECORDINGS[rank % len(RECORDINGS)], 10.0 * (3 + rank // 2)
    backend = "torchaudio" if rank % 3 == 2 else "onnx"
    kind = "fail" if rank < failed and backend == "onnx" else "pass"
    clip = f"{recording} @ {start:g} s"
    compared: Comparison = hand_made.comparison(clip, kind, backend, seed=rank)
    seconds = WINDOW if rank else 0.4
    loudness = 10 ** (-rank / 4)  # the last are very quiet
    waveform = _sound(seconds, rank) * loudness
    kept = rank % 4 != 3
    return WorstWindow(
        comparison=compared,
        recording=recording,
        start=start,
        seconds=seconds,
        level=float(np.std(waveform)),
        offset=float(np.mean(waveform)),
        waveform=waveform.astype(np.float32) if kept else None,
        evidence=_evidence(seconds, compared.max_abs, rank) if kept else None,
    )


def _sound(seconds: float, seed: int) -> NDArray[np.float64]:
    """A few calls in noise."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = 0.02 * random.standard_normal(len(time))
    for at in random.uniform(0, seconds, 4):
        pitch = random.uniform(800, 5000)
        sound += 0.3 * np.exp(-(((time - at) / 0.12) ** 2)) * np.sin(2 * np.pi * (pitch * time + 300 * time**2))
    return np.asarray(sound + 0.01)


def _evidence(seconds: float, largest: float, seed: int) -> Evidence:
    random = np.random.default_rng(seed)
    frames = 10 ** random.normal(-0.7, 0.2, max(2, int(seconds * 50) - 1))
    frames *= largest / frames.max()
    sample = np.abs(random.standard_normal(100))
    return Evidence(frames.astype(np.float32), sample.astype(np.float32), (sample * 1e-6).astype(np.float32))


def _failures(failed: int) -> tuple[Failure, ...]:
    if not failed:
        return ()
    beyond = "# of # elements are beyond the tolerance, the worst at frame #, dimension #"
    return (
        Failure("onnx", beyond, failed, beyond.replace("#", "7"), f"{RECORDINGS[0]} @ 30 s"),
        Failure("", "# not audio", 2, "sea/dusk/notes.wav: not audio", "sea/dusk/notes.wav"),
        Failure("", "ends after # of # samples", 1, "ends after 512 of 9000 samples", "wood/torn.flac"),
    )
