"""A real bundle of a tiny encoder, and reports on it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from aves_artifacts.bundle.attach import attach_report
from aves_artifacts.bundle.bundle import Bundle, read_bundle
from aves_artifacts.bundle.check import check_bundle
from aves_artifacts.bundle.manifest import MANIFEST, REPORT, TRANSFORMERS, Manifest, ReportRecord
from aves_artifacts.files.file_record import file_record, folder_sha256
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import write_stand_in
from aves_convert.graph_files import writer

NAME = "aves-base-bio"


def make_tiny(folder: Path, *, seed: int = 0) -> Bundle:
    """Beside its checkpoint, which is ``folder``.pt."""
    checkpoint = folder.with_name(f"{folder.name}.pt")
    write_stand_in("bio", checkpoint, geometry="tiny", seed=seed)
    return make_bundle(Source(checkpoint), Target(folder, NAME))


def make_verified(folder: Path) -> Bundle:
    """With every file that a bundle can have: weights outside the graph, as past 2 GB, and a report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "_LARGEST_FILE", 10_000)
        bundle = make_tiny(folder)
    return attach_report(folder, as_document(report_on(bundle.manifest)))


def copied(bundle: Bundle, folder: Path) -> Bundle:
    shutil.copytree(bundle.folder, folder)
    return read_bundle(folder)


def sealed(bundle: Bundle, **entries: Any) -> Bundle:
    """With a manifest that records the files as they are now, as somebody would write it who damages a bundle well."""
    folder, manifest = bundle.folder, dataclasses.replace(bundle.manifest, **entries)
    files = {
        role: dataclasses.replace(file_record(folder / record.name), name=record.name)
        for role, record in manifest.files.items()
    }
    report = manifest.report and ReportRecord(**vars(file_record(folder / REPORT)), passed=manifest.report.passed)
    manifest = dataclasses.replace(manifest, files=files, report=report)
    (folder / MANIFEST).write_text(manifest.to_json())
    return Bundle(folder, manifest)


def problems(bundle: Bundle) -> list[str]:
    """What the check finds, a line each."""
    return [f"{problem.file} {problem.problem}" for problem in check_bundle(bundle.folder).problems]


TOLERANCE = {"atol": 1e-5, "rtol": 1e-5, "error_ratio": 4.0, "own_error": 0.0}
NUMBERS: dict[str, Any] = {
    "max_abs": 1e-6,
    "max_rel": 1e-3,
    "mean_abs": 1e-7,
    "cosine_min": 1.0,
    "min_tolerance": 1e-6,
    "snr_db": 120.0,
    "error_ratio": 1.0,
    **dict.fromkeys(("noise", "quantiles", "max_abs_at", "max_rel_at")),
}


def comparison(backend: str, status: str = "pass", flagged: int | None = 0, **entries: Any) -> dict[str, Any]:
    """With ``flagged`` elements near zero; None: nothing could be computed."""
    names = {"backend": backend, "reference": "fairseq", "clip": "chirp", "layer": "final", "status": status}
    drift = {"threshold": 1e-3, "elements": 9, "flagged": flagged, "max_rel": 1e-2, "max_abs": 1e-6}
    near_zero = None if flagged is None else drift
    return {**names, "tolerance": TOLERANCE, "reason": "", **NUMBERS, "near_zero": near_zero, **entries}


def report_on(manifest: Manifest, **entries: Any) -> dict[str, Any]:
    """What aves-verify would say of these files, with ``entries`` of its one configuration replaced."""
    hashed = ("torchaudio", "config", "heads", "onnx", "onnx_data")
    folder = {Path(record.name).name: record.sha256 for role, record in manifest.files.items() if role in TRANSFORMERS}
    config = {
        "name": manifest.name,
        "source": "file",
        "reference": manifest.source.format,
        "sha256": ({"transformers": folder_sha256(folder)} if folder else {})
        | {manifest.source.format: manifest.source.sha256}
        | {role: record.sha256 for role, record in manifest.files.items() if role in hashed},
        "passed": True,
        "problems": [],
        "comparisons": [comparison(port) for port in sorted(manifest.ports, reverse=True)],
        "explanations": [],
        "sensitivities": [],
        "seconds": {"load": 1.0},
    } | entries
    return {
        "schema": 1,
        "passed": config["passed"],
        "environment": {"aves-ports": "0.1.0"},
        "tolerance": TOLERANCE | {"by_backend": dict.fromkeys(sorted(manifest.ports, reverse=True), TOLERANCE)},
        "configs": [config],
        "seconds": {"total": 2.0},
    }


def as_document(report: object) -> bytes:
    return json.dumps(report).encode()
