"""The index of a release, which names all of its files, and the claim, which names the index."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.base.messages import reason_of
from aves_artifacts.files.documents import parse_json
from aves_artifacts.files.file_record import FileRecord
from aves_artifacts.files.json_schema import schema_problem
from aves_artifacts.release.gate import Verified, Waived
from aves_artifacts.release.provenance import SIGNED, STATEMENT

INDEX = "index.json"
CLAIM = "claim.json"
SCHEMA = 2  # of both. In 1 the index listed the statement, which could therefore not be about the index.


@dataclass(frozen=True)
class IndexedConfiguration:
    """What an index says of one configuration."""

    name: str  # stem of its files, and its folder
    stand_in: bool  # seeded weights that were never trained
    source_sha256: str  # of the checkpoint that it was made from
    waived: tuple[Waived, ...]  # comparisons that failed, and why that does not matter

    @classmethod
    def of(cls, bundle: Verified) -> IndexedConfiguration:
        """Describe a bundle as an index does."""
        return cls(bundle.name, bundle.is_stand_in, bundle.bundle.manifest.source.sha256, bundle.waived)


@dataclass(frozen=True)
class Index:
    """Every file of a release, and what it holds: the entries of ``index.schema.json``, which describes them.

    The statement of its provenance is about the index, and thus the one file that ``files`` lacks.
    """

    version: str
    configurations: tuple[IndexedConfiguration, ...]
    files: Mapping[str, FileRecord]  # by their names, which are paths below the version's folder
    statement: str  # the name of the file with the provenance
    schema: int = SCHEMA

    @property
    def size(self) -> int:
        """The size of all files together, in bytes."""
        return sum(file.size for file in self.files.values())

    @property
    def is_signed(self) -> bool:
        """Whether the release has a signed statement of its provenance."""
        return self.statement == SIGNED

    def to_json(self) -> str:
        """Write the text of ``index.json``."""
        return _text(
            {
                "schema": SCHEMA,
                "version": self.version,
                "configurations": [asdict(configuration) for configuration in self.configurations],
                "files": [asdict(file) for file in self.files.values()],
                "statement": self.statement,
            }
        )

    @classmethod
    def from_json(cls, document: bytes, *, where: str) -> Index:
        """Parse and validate an index. Raises InputError naming ``where`` and what the schema says against it.

        Raises DoesNotHoldError for one that lists a file twice, of which one reader may take the first, another the
        last.
        """
        try:
            entries = parse_json(document)
        except ValueError as error:
            raise InputError(f"{where}: cannot be read: {reason_of(error)}") from None
        problem = schema_problem(entries, "index.schema.json")
        if problem:
            raise InputError(f"{where}: not the index of a release: {problem}")
        files = {entry["name"]: FileRecord(**entry) for entry in entries["files"]}
        if len(files) < len(entries["files"]):
            count = Counter(entry["name"] for entry in entries["files"])
            raise DoesNotHoldError(*(f"{where}: lists {name} twice" for name in files if count[name] > 1))
        return cls(
            version=entries["version"],
            configurations=tuple(map(_configuration, entries["configurations"])),
            files=files,
            statement=entries.get("statement") or (SIGNED if SIGNED in files else STATEMENT),
            schema=entries["schema"],
        )


def _configuration(entries: Any) -> IndexedConfiguration:
    return IndexedConfiguration(**{**entries, "waived": tuple(Waived(**waived) for waived in entries["waived"])})


def claim_text(version: str, index: FileRecord, statement: FileRecord | None) -> str:
    """Write the text of ``claim.json``, which reserves a version, from the records of its index and its statement.

    Without a statement it is that of a release whose index lists the statement.
    """
    named = {"index": {"size": index.size, "sha256": index.sha256}}
    if statement is None:
        return _text({"schema": 1, "version": version, **named})
    return _text({"schema": SCHEMA, "version": version, **named, "statement": asdict(statement)})


def is_claim(document: bytes, version: str, index: FileRecord, statement: FileRecord | None) -> bool:
    """Whether a document says what ``claim_text`` says; how it is laid out does not count."""
    try:
        return bool(parse_json(document) == parse_json(claim_text(version, index, statement)))
    except ValueError:
        return False


def _text(entries: Mapping[str, Any]) -> str:
    """A document of a release as JSON that a person may read."""
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"
