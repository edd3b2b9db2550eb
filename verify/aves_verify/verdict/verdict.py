"""One verdict from all parts of a run: the same report whoever made the parts, and in whatever order they are read."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.address import Address, open_address
from aves_convert.sounds.clip import SAMPLE_RATE, Clip
from aves_verify.comparison.compare import Comparison
from aves_verify.parts.identity import SIGNALS, Identity
from aves_verify.parts.listing import COMPARISONS, Listing, listings
from aves_verify.parts.part import PartFile
from aves_verify.parts.port_check import PortCheck, read_check
from aves_verify.parts.row import Arrays
from aves_verify.parts.writing import at_hand, read_part
from aves_verify.report.corpus import Corpus, WorstWindow
from aves_verify.report.report import ConfigReport, Report
from aves_verify.verdict.gathering import Gathered, Listed, gather

_SHOWN = 10  # windows with their sound
_ABSENT = ": not there; it is about the port itself"
_TOLD = 20  # recordings that cannot be read


def corpus_report(where: str, *, only: Sequence[str] = (), unreadable: int = 0) -> Report:
    """Make one report of all parts in a folder or at an address: a configuration for each run, or for ``only`` some.

    Fails where a part is missing or damaged, and where more than so many recordings are ``unreadable``. Raises
    InputError where there is no run, and where the store cannot be read.
    """
    parts = open_address(where)
    found = [_of_run(parts, name, listing, unreadable) for name, listing in listings(parts, COMPARISONS, only).items()]
    environments = [each for config in found if config.corpus for each in config.corpus.environments]
    # No times: parts hold none, so the report has the same bytes whoever made them.
    return Report(tuple(found), dict(environments[0]) if environments else {}, 0.0)


def _of_run(parts: Address, name: str, listing: Listing, unreadable: int) -> ConfigReport:
    identity = Identity(listing.port, listing.settings)
    found = gather(parts, identity, listing.shards)
    check, missing = _check(parts, identity), list(found.missing)
    if isinstance(check, str):
        missing.insert(0, check)
    corpus = _corpus(parts, name, listing, found, missing)
    base = _bare(listing, found) if isinstance(check, str) else check.report()
    windows = [each.row.comparison for each in found.listed if each.row.comparison is not None]
    whole = list(_whole(found))
    return dataclasses.replace(
        base,
        comparisons=(*base.comparisons, *windows, *whole),
        problems=(*base.problems, *_problems(found, listing, missing, unreadable)),
        backends={**base.backends, **found.backends},
        clips=tuple(_sounds(corpus).values()),
        evidence={
            (each.comparison.backend, each.comparison.clip): each.evidence
            for each in corpus.worst
            if each.evidence is not None
        },
        corpus=dataclasses.replace(corpus, listed=frozenset((c.clip, c.layer) for c in (*windows, *whole))),
    )


def _check(parts: Address, identity: Identity) -> PortCheck | str:
    """What was found about the port itself, or why there is nothing."""
    name = identity.part(SIGNALS)
    content = read_part(parts, name)
    if content is None:
        return f"{name}{_ABSENT}"
    try:
        check = read_check(content, f"{parts.url}/{name}")
        return check if check.run == identity.run else f"{name}: damaged: it is of another run"
    except InputError as error:
        return str(error)


def _bare(listing: Listing, found: Gathered) -> ConfigReport:
    """What can be told of a port without the part about itself."""
    reference = next((str(totals.kept["reference"]) for totals in found.in_order), "fairseq")
    return ConfigReport(listing.name, listing.source, reference, {}, (), {})


def _whole(found: Gathered) -> Iterator[Comparison]:
    """Each output of each port over all windows, as a comparison."""
    for totals in found.in_order:
        failed = totals.statuses["fail"]
        drifting = totals.statuses["near-zero drift"]
        reason = f"{failed:,} of {totals.windows:,} windows fail" if failed else ""
        if not failed and drifting:
            reason = f"in {drifting:,} of {totals.windows:,} windows elements drift near zero"
        yield totals.comparison(f"{totals.windows:,} windows together", reason)


def _problems(found: Gathered, listing: Listing, missing: Sequence[str], unreadable: int) -> Iterator[str]:
    if missing:
        needed = len(listing.shards) + 1
        yield (
            f"incomplete: {len(missing):,} of {needed:,} parts are missing, the first {missing[0]}; "
            "run aves-verify corpus run again with the same options"
        )
    if not found.windows and not missing:
        yield "nothing was compared: the corpus has no window that gives a frame"
    if len(found.unreadable) > unreadable:
        first = [reason for _, reason in sorted(found.unreadable.items())][:_TOLD]
        yield from first
        if len(found.unreadable) > len(first):
            yield f"{len(found.unreadable) - len(first):,} more recordings cannot be read"


def _corpus(parts: Address, name: str, listing: Listing, found: Gathered, missing: Sequence[str]) -> Corpus:
    return Corpus(
        run=name.removesuffix(".json"),
        recordings=listing.recordings,
        windows=found.windows,
        planned=listing.windows,
        seconds=found.samples / SAMPLE_RATE,
        window=listing.window,
        hop=listing.hop,
        parts=len(listing.shards) + 1,
        missing=tuple(missing),
        unreadable=len(found.unreadable),
        skipped=found.skipped,
        totals=tuple(totals.totals() for totals in found.in_order),
        failures=found.reasons,
        worst=tuple(_worst(parts, found)),
        environments=tuple(sorted(found.environments, key=lambda each: sorted(each.items()))),
    )


def _worst(parts: Address, found: Gathered) -> Iterator[WorstWindow]:
    """The worst windows of all ports, those of one port in order; the first of them with their arrays."""
    by_rank = sorted((each for kept in found.worst.values() for each in kept), key=lambda each: each.rank)
    arrays: dict[tuple[str, int], Arrays | None] = {}
    for name in dict.fromkeys(each.part for each in by_rank[:_SHOWN]):
        wanted = {each.index for each in by_rank[:_SHOWN] if each.part == name}
        with at_hand(parts, name) as path:
            if path is not None:
                found_rows = PartFile(path, f"{parts.url}/{name}").rows(wanted)
                arrays |= {(name, index): row.arrays for index, row in found_rows}
    for each in by_rank:
        yield _window(each, arrays.get((each.part, each.index)))


def _window(each: Listed, arrays: Arrays | None) -> WorstWindow:
    where, comparison = each.row.where, each.row.comparison
    assert comparison is not None  # noqa: S101 - only comparisons are ranked
    return WorstWindow(
        comparison,
        where.recording,
        where.start / SAMPLE_RATE,
        where.samples / SAMPLE_RATE,
        0.0 if math.isnan(where.level) else where.level,
        where.offset,
        None if arrays is None else arrays.waveform,
        None if arrays is None else arrays.evidence,
    )


def _sounds(corpus: Corpus) -> dict[str, Clip]:
    """The clips of which there is the sound, by name."""
    return {
        each.comparison.clip: Clip(each.comparison.clip, each.waveform)
        for each in corpus.worst
        if each.waveform is not None
    }
