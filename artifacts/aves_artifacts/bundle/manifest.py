"""The manifest of a bundle: what it holds and where that came from, in JSON under a published schema."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from aves_artifacts.base.documents import parse_json
from aves_artifacts.base.errors import InputError
from aves_artifacts.base.file_record import FileRecord
from aves_artifacts.base.json_schema import schema_problem
from aves_artifacts.base.messages import quoted, reason_of

MANIFEST = "manifest.json"
REPORT = "report.json"
SCHEMA = 2

Role = Literal["torchaudio", "config", "safetensors", "onnx", "onnx_data", "card"]
# File names as the model's authors publish them; {name} is the configuration's, e.g. aves-base-bio. onnx_data: of
# models past 2 GB alone. The Hugging Face Hub shows README.md.
FILE_NAMES: dict[Role, str] = {
    "torchaudio": "{name}.torchaudio.pt",
    "config": "{name}.torchaudio.model_config.json",
    "safetensors": "{name}.safetensors",
    "onnx": "{name}.onnx",
    "onnx_data": "{name}.onnx.data",
    "card": "README.md",
}


@dataclass(frozen=True)
class ReportRecord(FileRecord):
    """The report of aves-verify on these files, and its verdict."""

    passed: bool


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds and where it came from: the entries of ``manifest.schema.json``, which describes them."""

    name: str
    files: Mapping[Role, FileRecord]
    source: Mapping[str, Any]
    encoder: Mapping[str, Any]
    config: Mapping[str, Any] = field(repr=False)
    ledger: tuple[Mapping[str, Any], ...] = field(repr=False)
    versions: Mapping[str, str]
    licence: str = ""
    citation: str = ""
    report: ReportRecord | None = None

    def to_json(self) -> str:
        """The manifest as a person may read it: two spaces, one ledger entry per line, and its own SHA-256."""
        return self._text(hashlib.sha256(self._text("").encode()).hexdigest())

    def _text(self, sha256: str) -> str:
        entries = {"schema": SCHEMA, "name": self.name, "sha256": sha256} | asdict(self)
        del entries["ledger"]
        ledger = ",\n    ".join(json.dumps(entry, ensure_ascii=False) for entry in self.ledger)
        text = json.dumps(entries, indent=2, ensure_ascii=False)
        return f'{text[:-2]},\n  "ledger": [\n    {ledger}\n  ]\n}}\n'

    @classmethod
    def from_json(cls, text: str, *, where: str) -> Manifest:
        """Parse and validate a manifest. Raises InputError naming ``where`` and what the schema says against it."""
        again = "make the bundle anew with: aves-convert bundle"
        try:
            entries = parse_json(text)
        except ValueError as error:
            raise InputError(f"{where}: cannot read the manifest: {reason_of(error)}") from None
        if isinstance(entries, dict) and entries.get("schema") != SCHEMA:
            found = entries.get("schema")
            raise InputError(
                f"{where}: schema {quoted(found)}, expected {SCHEMA}: from another version of this tool; {again}"
            )
        problem = schema_problem(entries, "manifest.schema.json")
        if problem:
            raise InputError(f"{where}: not a bundle's manifest: {problem}; {again}")
        del entries["schema"], entries["sha256"]
        report = entries.pop("report")
        return cls(
            **entries
            | {
                "files": {role: FileRecord(**record) for role, record in entries["files"].items()},
                "ledger": tuple(entries["ledger"]),
                "report": None if report is None else ReportRecord(**report),
            }
        )
