"""Checking that a port computes what the original computes.

- ``of_bundle``, ``Subject``, ``Plan``, ``verify``: an encoder's files, how they are run and compared, and the whole of
  it in one call.
- ``Report``, ``to_json``: what was found, and the JSON that other programs rely on.
- ``Clip``, ``read_clips``, ``reference_signals``: what encoders are run on.
- ``compare``, ``Comparison``, ``Tolerance``: two arrays against each other, from anywhere.
- ``make_parts``: have a ``Recipe`` of your own make a part, which is ``Made``, of each ``Shard`` of a corpus, by a
  ``Crew`` of processes; ``windows_or_reasons`` reads what ``Cutting`` cuts it into, tells of what is ``Unreadable``,
  and raises ``StoreError`` where that may go well later. ``corpus_report``: the one report of all parts of a
  verification.
- ``Implementation``, ``Given``, ``Encoder``, ``RunError``: a backend of your own, from a package of your own.

``Clip``, ``reference_signals``, what compares arrays and what backends are made of work without torch. These names
stay; modules below the package are private.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [
    "Clip",
    "Comparison",
    "Crew",
    "Cutting",
    "Encoder",
    "Given",
    "Implementation",
    "Made",
    "Plan",
    "Recipe",
    "Report",
    "RunError",
    "Shard",
    "StoreError",
    "Subject",
    "Tolerance",
    "Unreadable",
    "compare",
    "corpus_report",
    "make_parts",
    "of_bundle",
    "read_clips",
    "reference_signals",
    "to_json",
    "verify",
    "windows_or_reasons",
]

if TYPE_CHECKING:
    from aves_convert.sounds.audio import read_clips
    from aves_convert.sounds.clip import Clip
    from aves_convert.sounds.signals import reference_signals
    from aves_verify.backends.backend import Encoder, Given, Implementation, RunError
    from aves_verify.comparison.compare import Comparison, Tolerance, compare
    from aves_verify.corpus.addresses import StoreError
    from aves_verify.corpus.shards import Shard
    from aves_verify.corpus.windows import Cutting, Unreadable, windows_or_reasons
    from aves_verify.recipes.making import Made, Recipe
    from aves_verify.report.json_report import to_json
    from aves_verify.report.report import Report
    from aves_verify.runs.driving import Crew
    from aves_verify.runs.ordering import make_parts
    from aves_verify.subjects.subject import Subject, of_bundle
    from aves_verify.verdict.verdict import corpus_report
    from aves_verify.verification.plan import Plan
    from aves_verify.verification.run import verify
else:
    from aves_artifacts.base.faces import lazily

    __getattr__, __dir__ = lazily(
        __name__,
        {
            "Clip": "aves_convert.sounds.clip",
            "Comparison": "comparison.compare",
            "Encoder": "backends.backend",
            "Given": "backends.backend",
            "Implementation": "backends.backend",
            "Plan": "verification.plan",
            "Report": "report.report",
            "RunError": "backends.backend",
            "Tolerance": "comparison.compare",
            "compare": "comparison.compare",
            "of_bundle": "subjects.subject",
            "read_clips": "aves_convert.sounds.audio",
            "reference_signals": "aves_convert.sounds.signals",
            "to_json": "report.json_report",
            "Crew": "runs.driving",
            "Cutting": "corpus.windows",
            "Made": "recipes.making",
            "Recipe": "recipes.making",
            "Shard": "corpus.shards",
            "StoreError": "corpus.addresses",
            "Subject": "subjects.subject",
            "corpus_report": "verdict.verdict",
            "make_parts": "runs.ordering",
            "Unreadable": "corpus.windows",
            "windows_or_reasons": "corpus.windows",
            "verify": "verification.run",
        },
    )
