"""What is done inside one leg's environment: convert, load, run, compare with the goldens. Writes one JSON file.

python -m tests.regression.leg [--expected HASHES.json] --out RESULT.json [--plant NAME] MODEL...
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from tests.regression.golden import FOLDER, Golden, read_golden
from tests.regression.leg_files import (
    Ported,
    convert,
    export,
    exporter_of,
    file_problems,
    loads_newer_names,
    who_exports,
)
from tests.regression.leg_numbers import Numbers, backends, numbers
from tests.regression.leg_transformers import backend_of, loading_problems
from tests.regression.models import FULL_SIZE, NAMES
from tests.regression.planted import PLANTS, exporter_flipped, has_dynamo

from aves_artifacts.base.errors import InputError
from aves_convert.weights.model import import_torchaudio
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.verification.environment import environment

# torch 2.0's exporter knows no scaled_dot_product_attention, which is told where it is met.
EXPORTS = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 1)
EXPORTED = ("base", "pre-norm", FULL_SIZE)  # what torch's own exporters are tried on


@dataclasses.dataclass
class Findings:
    """What a leg has found so far."""

    rows: list[Numbers] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def add(self, row: Numbers) -> None:
        """Keep a row, and its failures."""
        self.rows.append(row)
        more = f"; and {len(row.failures) - 1} more" if len(row.failures) > 1 else ""
        self.failures += [f"{row.model}, {row.backend}: {reason}{more}" for reason in row.failures[:1]]


def run_leg(models: Sequence[str], folder: Path, expected: Mapping[str, str], plant: str) -> dict[str, Any]:
    """All of it, as what goes into the JSON file."""
    started = time.monotonic()
    findings = Findings()
    fairseq = _installed("fairseq")
    newer_names = False
    for name in models:
        golden = read_golden(FOLDER / f"{name}.safetensors")
        with PLANTS[plant]():
            ported = convert(name, folder)
            findings.failures += file_problems(ported, golden, expected)
            for backend in backends(ported, fairseq=fairseq):
                findings.add(numbers(ported, backend, golden))
            _transformers(ported, golden, findings)
            if name in EXPORTED:
                _exporters(ported, golden, folder, findings)
        newer_names = loads_newer_names(ported.config, torch.load(ported.weights, weights_only=True))
    return {
        "environment": environment(),
        "torchaudio_extension": type(import_torchaudio()._extension).__name__ != "_NoExtension",
        "loads_newer_names": newer_names,
        "fairseq_runs": fairseq,
        "exporters": ["TorchScript", *(["dynamo"] if has_dynamo() else [])],
        "numbers": [dataclasses.asdict(row) for row in findings.rows],
        "failures": findings.failures,
        "notes": findings.notes,
        "seconds": round(time.monotonic() - started, 1),
    }


def _transformers(ported: Ported, golden: Golden, findings: Findings) -> None:
    """The folder, loaded as its users load it and run by our backend; a leg without the library is told of."""
    if not _installed("transformers"):
        findings.notes.append(f"{ported.name}, transformers: not installed beside this torch; no folder is loaded")
        return
    try:
        backend = backend_of(ported)
    except InputError as error:
        findings.failures.append(f"{ported.name}, transformers: {error}")
        return
    findings.failures += loading_problems(ported, backend)
    findings.add(numbers(ported, backend, golden))


def _exporters(ported: Ported, golden: Golden, folder: Path, findings: Findings) -> None:
    """``--exporter torch`` as it is, which is judged, and through torch's newer exporter, of which is told."""
    exported = folder / f"{ported.name}.exported.onnx"
    failure = ""
    try:
        writer = exporter_of(onnx.load(str(export(ported, exported))))
    except InputError as error:
        failure, writer = f"{ported.name}, --exporter torch: {error}", who_exports(ported, folder / "raw.onnx")
    if writer == "dynamo":
        findings.failures.append(
            f"{ported.name}, --exporter torch: the graph is by torch's newer exporter (dynamo): its default was "
            "flipped; expected the TorchScript-based one, with which published ONNX files were made"
        )
    if failure:
        (findings.notes if writer == "none" and not EXPORTS else findings.failures).append(failure)
        return
    findings.add(numbers(ported, OnnxBackend(exported, threads=1), golden, called="onnx by torch"))
    if ported.name == FULL_SIZE or writer == "dynamo" or not has_dynamo():
        return
    try:
        with exporter_flipped():
            export(ported, exported)
        found = numbers(ported, OnnxBackend(exported, threads=1), golden, called="onnx by torch, dynamo")
    except Exception as error:  # an exporter that nobody asked for may fail as it likes, and is told of
        reason = " ".join(str(error).split())
        findings.notes.append(f"{ported.name}, dynamo exporter: {type(error).__name__}: {reason:.300}")
        return
    findings.rows.append(found)
    findings.notes += [f"{ported.name}, dynamo exporter: {reason}" for reason in found.failures[:1]]


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def expected_hashes(models: Sequence[str], folder: Path) -> dict[str, str]:
    """SHA-256 of what is converted here."""
    return {name: sha256 for model in models for name, sha256 in convert(model, folder).hashes().items()}


def main() -> None:
    """Run a leg, or tell what is converted here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--expected", type=Path, help="SHA-256 of the converted files; without it, write these")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("models", nargs="+", choices=NAMES, metavar="MODEL")
    parser.add_argument("--plant", choices=PLANTS, default="nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)  # as the goldens: what differs is the version's doing, not the number of threads
    with tempfile.TemporaryDirectory(prefix="aves-leg-") as folder:
        if given.expected is None:
            result: dict[str, Any] = expected_hashes(given.models, Path(folder))
        else:
            expected = json.loads(given.expected.read_text())
            result = run_leg(given.models, Path(folder), expected, given.plant)
    given.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
