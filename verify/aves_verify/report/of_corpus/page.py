"""A corpus as the page shows it: facts, distributions, what failed, and the worst windows to look at and to hear."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from aves_artifacts.base.messages import cut_off
from aves_convert.sounds.clip import SAMPLE_RATE
from aves_verify.report.corpus import Corpus, WorstWindow
from aves_verify.report.of_corpus.sound import Sound, sound_of
from aves_verify.report.of_corpus.text import HEADINGS, TEXTS, facts_of, total_rows
from aves_verify.report.pictures.clip import window_picture
from aves_verify.report.pictures.distributions import chosen, differences_picture, ratios_picture
from aves_verify.report.pictures.heat import heat_picture
from aves_verify.report.pictures.svg import Picture
from aves_verify.report.report import ConfigReport

_MOST_FIGURES = 10
_MOST_MISSING = 100


@dataclass(frozen=True)
class Figure:
    """One of the worst windows, whatever ports it is among the worst of: its picture, and its sound."""

    identity: str
    clip: str
    told: str
    picture: Picture
    sound: Sound | None


def corpus_page(config: ConfigReport, corpus: Corpus, identity: str) -> dict[str, Any]:
    """What the template wants of a corpus; ``identity`` is unique within the page."""
    figures = list(_figures(corpus, identity))
    of_clip = {figure.clip: figure.identity for figure in figures}
    missing, more_missing = cut_off(corpus.missing, _MOST_MISSING)
    failures = sorted(corpus.failures, key=lambda failure: -failure.count)
    return {
        "identity": identity,
        "run": corpus.run,
        "facts": list(facts_of(corpus)),
        "headings": [(heading, heading not in TEXTS) for heading in HEADINGS],
        "totals": list(total_rows(corpus)),
        "pictures": list(_pictures(config, corpus, identity)),
        "failed": [failure for failure in failures if failure.backend],
        "unreadable": [failure for failure in failures if not failure.backend],
        "missing": missing,
        "more_missing": more_missing,
        "windows": [(w, decibels(w.level), of_clip.get(w.comparison.clip, "")) for w in corpus.worst],
        "figures": figures,
        "environments": corpus.environments if len(corpus.environments) > 1 else (),
    }


def _pictures(config: ConfigReport, corpus: Corpus, identity: str) -> Iterator[Picture]:
    held = {c.backend: c.tolerance for c in config.comparisons if c.bound is None}
    ratios = {name: limit.error_ratio for name, limit in held.items()}
    sizes = {name: limit.atol for name, limit in held.items() if limit.atol > 0}
    made = [
        differences_picture(f"{identity}-differences", corpus.totals, sizes),
        ratios_picture(f"{identity}-ratios", corpus.totals, ratios),
        *(
            heat_picture(f"{identity}-heat-{i}", total, ratios.get(total.backend, math.inf))
            for i, total in enumerate(chosen(corpus.totals))
        ),
    ]
    yield from (picture for picture in made if picture is not None)


def _figures(corpus: Corpus, identity: str) -> Iterator[Figure]:
    """The worst windows whose sound is there; one that several ports or outputs have stands there once."""
    by_clip: dict[str, list[WorstWindow]] = {}
    for window in corpus.worst:
        if window.waveform is not None and len(window.waveform):
            by_clip.setdefault(window.comparison.clip, []).append(window)
    for i, (clip, windows) in enumerate(list(by_clip.items())[:_MOST_FIGURES]):
        named, first = f"{identity}-worst-{i}", windows[0]
        curves = {w.comparison.backend: w.evidence.frames for w in reversed(windows) if w.evidence is not None}
        yield Figure(
            identity=named,
            clip=clip,
            told=_told(windows),
            picture=window_picture(f"{named}-picture", first, dict(reversed(curves.items()))),
            sound=sound_of(np.asarray(first.waveform), _worst_at(first)),
        )


def _told(windows: list[WorstWindow]) -> str:
    first = windows[0]
    statuses = ", ".join(f"{w.comparison.backend} {w.comparison.layer}: {w.comparison.status}" for w in windows)
    return f"{statuses}; {first.seconds:g} s, level {decibels(first.level)} dB of full scale, offset {first.offset:.1e}"


def _worst_at(window: WorstWindow) -> float:
    """Where the difference is largest, in seconds from the window's start."""
    if window.evidence is None or not len(window.evidence.frames) or window.waveform is None:
        return 0.0
    share = (int(np.argmax(window.evidence.frames)) + 0.5) / len(window.evidence.frames)
    return share * len(window.waveform) / SAMPLE_RATE


def decibels(level: float) -> str:
    """Write an RMS, full scale being 1, in decibels."""
    return f"{20 * math.log10(level):.0f}" if 0 < level < math.inf else "-∞" if level == 0 else "-"
