"""The list of a run's parts: what has to be there before there is a verdict. It is written before the first part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line, printable, quoted
from aves_artifacts.files.address import Address
from aves_artifacts.files.documents import parse_json
from aves_verify.parts.table import as_record, as_row
from aves_verify.parts.writing import patiently

SCHEMA = 1
KIND = "aves-verify corpus run"
COMPARISONS, OUTPUTS = "comparisons", "outputs"  # what parts hold
_MOST = 64 << 20  # bytes


@dataclass(frozen=True)
class Listing:
    """One port, one corpus, one way to look at it, and the digests of the shards that it is cut into.

    ``windows`` and ``seconds`` are those planned; ``window`` and ``hop`` are in seconds. ``what`` parts hold.
    """

    schema: int
    kind: str
    what: str
    name: str
    source: str
    port: str
    settings: str
    corpus: str
    recordings: int
    windows: int
    seconds: float
    window: float
    hop: float
    shards: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """Write it as JSON: the same bytes for the same run."""
        return (json.dumps(as_row(self), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def listings(parts: Address, what: str, only: Sequence[str] = ()) -> dict[str, Listing]:
    """Read the lists at an address, by their names; ``only`` those whose names begin so.

    Raises InputError where there is none, where one is damaged, and for a beginning that none has.
    """
    names = patiently(parts, parts.listed)
    found = {}
    for name in sorted(each for each in names if "/" not in each and each.endswith(".json")):
        listing = _read(parts, name)
        if listing is not None and listing.what == what:
            found[name] = listing
    if not found:
        raise InputError(f"{parts.url}: no run of a corpus; make one with: aves-verify corpus run")
    for beginning in only:
        if not any(name.startswith(beginning) for name in found):
            raise InputError(f"{parts.url}: no run {printable(beginning)}; there are {', '.join(sorted(found))}")
    return {name: each for name, each in found.items() if not only or name.startswith(tuple(only))}


def _read(parts: Address, name: str) -> Listing | None:
    """A list; None for another JSON file. Raises InputError for a damaged one."""
    content = patiently(parts, lambda: parts.read(name, _MOST))
    try:
        document = parse_json(content or b"")
        if not isinstance(document, dict) or document.get("kind") != KIND:
            return None
        if document.get("schema") != SCHEMA:
            raise ValueError(f"schema {quoted(document.get('schema'))}, this version reads {SCHEMA}")
        return as_record(Listing, document)
    except ValueError as error:
        raise InputError(
            f"{parts.url}/{name}: damaged, or no list of parts ({first_line(error)}); run aves-verify corpus again"
        ) from None
