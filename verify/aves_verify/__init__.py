"""Checking that a port computes what the original computes.

- ``of_bundle``, ``Plan``, ``verify``: an encoder's files, how they are run and compared, and the whole of it in one
  call.
- ``Report``, ``to_json``: what was found, and the JSON that other programs rely on.
- ``Clip``, ``read_clips``, ``reference_signals``: what encoders are run on.
- ``compare``, ``Comparison``, ``Tolerance``: two arrays against each other, from anywhere.
- ``Implementation``, ``Given``, ``Encoder``, ``RunError``: a backend of your own, from a package of your own.

``Clip``, ``reference_signals``, what compares arrays and what backends are made of work without torch. These names
stay; modules below the package are private.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [
    "Clip",
    "Comparison",
    "Encoder",
    "Given",
    "Implementation",
    "Plan",
    "Report",
    "RunError",
    "Tolerance",
    "compare",
    "of_bundle",
    "read_clips",
    "reference_signals",
    "to_json",
    "verify",
]

if TYPE_CHECKING:
    from aves_convert.sounds.audio import read_clips
    from aves_convert.sounds.clip import Clip
    from aves_convert.sounds.signals import reference_signals
    from aves_verify.backends.backend import Encoder, Given, Implementation, RunError
    from aves_verify.comparison.compare import Comparison, Tolerance, compare
    from aves_verify.report.json_report import to_json
    from aves_verify.report.report import Report
    from aves_verify.subjects.subject import of_bundle
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
            "verify": "verification.run",
        },
    )
