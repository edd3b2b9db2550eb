"""Releases to publish: of tiny bundles that were verified."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tests.support.bundles import as_document, make_tiny, report_on

from aves_artifacts.bundle.attach import attach_report
from aves_artifacts.bundle.bundle import Bundle, read_bundle
from aves_artifacts.bundle.manifest import MANIFEST, REPORT
from aves_artifacts.bundle.model_card import write_card


def make_reported(folder: Path, **entries: Any) -> Bundle:
    """A tiny bundle with a report in which ``entries`` of its one configuration are replaced."""
    return attach_report(folder, as_document(report_on(make_tiny(folder).manifest, **entries)))


def as_trained(bundle: Bundle) -> Bundle:
    """The same without a report, saying of itself that it is no stand-in."""
    (bundle.folder / REPORT).unlink()
    source = dataclasses.replace(bundle.manifest.source, stand_in=False)
    manifest = dataclasses.replace(bundle.manifest, source=source, report=None)
    (bundle.folder / MANIFEST).write_text(write_card(manifest, bundle.folder).to_json())
    return read_bundle(bundle.folder)
