"""The list of a run's parts: what has to be there before there is a verdict. It is written before the first part."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line, printable, quoted
from aves_artifacts.files.address import Address
from aves_artifacts.files.documents import parse_json
from aves_verify.corpus.shards import joined
from aves_verify.parts.table import as_record, as_row
from aves_verify.parts.writing import patiently

SCHEMA = 1
KIND = "aves-verify corpus run"
COMPARISONS, OUTPUTS = "comparisons", "outputs"  # what parts hold
_MOST = 64 << 20  # bytes
_DIGEST = re.compile("[0-9a-f]{64}")


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
    layers: str = "last"  # whether parts hold something of every layer

    def to_bytes(self) -> bytes:
        """Write it as JSON: the same bytes for the same run."""
        return (json.dumps(as_row(self), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def listings(parts: Address, what: str, only: Sequence[str] = ()) -> dict[str, Listing]:
    """Read the lists at an address, by their names; ``only`` those whose names begin so.

    Raises InputError where there is none, where one is damaged, and for a beginning that none has.
    """
    names = patiently(parts, parts.listed)
    there = {name: _read(parts, name) for name in sorted(names) if "/" not in name and name.endswith(".json")}
    found = {name: listing for name, listing in there.items() if listing is not None and listing.what == what}
    if not found:
        raise InputError(f"{parts.url}: {_instead({each.what for each in there.values() if each is not None})}")
    for beginning in only:
        if not any(name.startswith(beginning) for name in found):
            raise InputError(f"{parts.url}: no run {printable(beginning)}; there are {', '.join(sorted(found))}")
    return {name: each for name, each in found.items() if not only or name.startswith(tuple(only))}


def _instead(what: Collection[str]) -> str:
    """What lies there in the place of what was looked for."""
    if OUTPUTS in what:
        return "holds what was recorded of an original, and no comparisons; compare with it by aves-verify corpus run"
    told = f"; it holds {', '.join(printable(each) for each in sorted(what))}" if what else ""
    return (
        f"no run of a corpus{told}; make one with: aves-verify corpus {'run' if COMPARISONS not in what else 'record'}"
    )


def _read(parts: Address, name: str) -> Listing | None:
    """A list; None for another JSON file. Raises InputError for a damaged one."""
    content = patiently(parts, lambda: parts.read(name, _MOST))
    try:
        document = parse_json(content or b"")
        if not isinstance(document, dict) or document.get("kind") != KIND:
            return None
        if document.get("schema") != SCHEMA:
            raise ValueError(f"schema {quoted(document.get('schema'))}, this version reads {SCHEMA}")
        listing = as_record(Listing, document)
        if not all(map(_DIGEST.fullmatch, (listing.port, listing.settings, listing.corpus, *listing.shards))):
            raise ValueError("a digest that is none")  # parts are found by their beginnings, and nowhere else
        if joined(listing.shards) != listing.corpus:
            raise ValueError("its parts are not those of its corpus")
        return listing
    except ValueError as error:
        raise InputError(
            f"{parts.url}/{name}: damaged, or no list of parts ({first_line(error)}); run aves-verify corpus again"
        ) from None
