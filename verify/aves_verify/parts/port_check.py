"""The part about the port itself: what an ordinary verification finds, on reference signals, before any corpus."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from aves_verify.comparison.compare import Comparison
from aves_verify.comparison.weights import WeightSearch
from aves_verify.parts.part import damaged, facts_of, open_parquet, parquet, sealed
from aves_verify.parts.table import as_record, as_row, fields_of, table
from aves_verify.report.report import ConfigReport
from aves_verify.sounds.ran import Ran

KIND = "aves-verify port check"


@dataclass(frozen=True)
class PortCheck:
    """What a verification of a port found, but for its comparisons, which are rows."""

    name: str
    source: str
    reference: str
    sha256: dict[str, str]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    backends: dict[str, dict[str, str]]
    weights: dict[str, WeightSearch]
    environment: dict[str, str]
    run: str = ""  # the digest of what decides what is in it
    ran: Ran | None = None
    comparisons: tuple[Comparison, ...] = field(default=(), repr=False)

    def report(self) -> ConfigReport:
        """Make the report of one configuration of it, which tells no seconds."""
        return ConfigReport(
            self.name,
            self.source,
            self.reference,
            self.sha256,
            self.comparisons,
            {},
            problems=self.problems,
            notes=self.notes,
            backends=self.backends,
            weights=self.weights,
            ran=self.ran,
        )


def to_bytes(check: PortCheck) -> bytes:
    """Write it as a Parquet file, a row for each comparison."""
    about = as_row(check)
    rows = about.pop("comparisons")
    return parquet(table(rows, fields_of(Comparison), sealed(KIND, about)), split=[])


def read_check(content: bytes, where: str) -> PortCheck:
    """Read it back. Raises InputError for another file."""
    try:
        file = open_parquet(content)
        about: PortCheck = facts_of(file, KIND, PortCheck)
        rows = [as_record(Comparison, row) for row in file.read().to_pylist()]
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise damaged(where, error) from None
    return PortCheck(**{**vars(about), "comparisons": tuple(rows)})
