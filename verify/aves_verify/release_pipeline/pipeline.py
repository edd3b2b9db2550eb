"""The release pipeline: from checkpoints to one published release.

Four steps, each of which takes what the one before it gives: checkpoints, verified bundles, the planned release, its
publication. What an earlier run left in the work folder, and what still checks, is kept: a run that was cut off is
completed by running it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.base.progress import Watcher, transfer_bars
from aves_artifacts.bundle.attach import attach_report
from aves_artifacts.bundle.check import check_bundle
from aves_artifacts.bundle.manifest import FILE_NAMES, REPORT, Manifest
from aves_artifacts.configurations.catalog import Configuration, catalog, named
from aves_artifacts.fetch.fetcher import Fetcher, Wanted
from aves_artifacts.fetch.file_kind import content_problem
from aves_artifacts.files.address import Address, open_address
from aves_artifacts.files.file_record import sha256_of
from aves_artifacts.release.gate import Verified, verified
from aves_artifacts.release.index import INDEX
from aves_artifacts.release.provenance import Signer
from aves_artifacts.release.publishing import PlannedUpload, Published, plan_upload, publish
from aves_artifacts.release.staging import check_names, stage
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import MORE_PORTS, Source, Target
from aves_convert.conversion.stand_in import write_stand_in
from aves_verify.release_pipeline.journal import Journal, Order
from aves_verify.report.json_report import to_json
from aves_verify.subjects.subject import geometry_of, of_bundle
from aves_verify.verification.plan import Plan
from aves_verify.verification.progress import Progress, step_bars
from aves_verify.verification.run import verify


@dataclass(frozen=True)
class Candidate:
    """One encoder that is to be released: its checkpoint, the folder for its bundle, and what is in that beside all."""

    name: str
    checkpoint: Path
    bundle: Path
    also: tuple[str, ...] = ()


def run_release(
    order: Order, journal: Journal, signer: Signer | None = None, *, dry_run: bool = False
) -> PlannedUpload | Published:
    """Run all four steps, with progress on a terminal; with ``dry_run`` the last one only tells what it would do.

    Raises InputError for what is unusable, DoesNotHoldError for what may not be published.
    """
    address = open_address(order.url)
    address.below(order.version).size(INDEX)  # whether it can be reached is told before the work, not after it
    with transfer_bars() as watcher:
        candidates = take_checkpoints(order, journal, watcher)
    with step_bars(len(candidates)) as journal.show:
        found = verified_bundles(candidates, journal)
    planned = stage_release(found, order, address, journal, signer)
    if dry_run:
        return planned
    with transfer_bars("uploading") as watcher:
        return publish_release(planned, journal, watcher)


def take_checkpoints(order: Order, journal: Journal, watcher: Watcher) -> list[Candidate]:
    """Fetch the originals or make their stand-ins; a path that was given is taken as it is. Raises InputError."""
    names = list(dict.fromkeys(order.names))
    chosen = named(names) if names else [c for c in catalog().values() if c.has_original]
    lacking = [c.name for c in chosen if isinstance(c, Configuration) and not (c.has_original or order.stand_in)]
    if lacking:
        raise InputError(f"{', '.join(lacking)}: only ports are published; give the path of the fairseq checkpoint")
    check_names([found.stem if isinstance(found, Path) else found.file_name for found in chosen])
    return [_candidate(found, order, journal, watcher) for found in chosen]


def verified_bundles(candidates: Sequence[Candidate], journal: Journal) -> list[Verified]:
    """Convert each encoder, verify it, attach the report, and check all of it.

    Raises DoesNotHoldError with all that may not be published, after each was tried.
    """
    outcomes = [_bundle(candidate, journal) for candidate in candidates]
    problems = [problem for found in outcomes if isinstance(found, DoesNotHoldError) for problem in found.problems]
    if problems:
        raise DoesNotHoldError(*problems)
    return [found for found in outcomes if isinstance(found, Verified)]


def stage_release(
    found: Sequence[Verified], order: Order, address: Address, journal: Journal, signer: Signer | None
) -> PlannedUpload:
    """Write the release's documents into the work folder, and look at the address. Raises InputError."""
    folder = order.work / "releases" / order.version
    release = journal.do("", "stage", lambda: stage(found, order.version, folder, signer))
    return plan_upload(release, address)


def publish_release(planned: PlannedUpload, journal: Journal, watcher: Watcher) -> Published:
    """Upload the release and read it back. Raises InputError and DoesNotHoldError as ``publish`` does."""
    return journal.do("", "publish", lambda: publish(planned, watcher))


def _candidate(chosen: Configuration | Path, order: Order, journal: Journal, watcher: Watcher) -> Candidate:
    if isinstance(chosen, Path):
        if read_checkpoint(chosen).stand_in and not order.stand_in:
            raise InputError(
                f"{chosen}: a stand-in, whose weights were never trained",
                hint="give {stand_in} to release it marked as such",
            )
        journal.keep(chosen.stem, "checkpoint")
        return Candidate(chosen.stem, chosen, order.work / "bundles" / chosen.stem, order.also)
    stem = chosen.file_name
    if not order.stand_in:
        wanted = Wanted(chosen, "original")
        fetcher = Fetcher(watcher=watcher)
        (fetched,) = journal.do(stem, "checkpoint", lambda: fetcher.fetch_files([wanted]))
        if fetched.was_here:
            journal.steps[-1] = replace(journal.steps[-1], seconds=None)
        return Candidate(stem, wanted.path, order.work / "bundles" / stem, order.also)
    checkpoint = order.work / "stand-ins" / f"{stem}.pt"
    if checkpoint.is_file() and not content_problem(checkpoint, "original", chosen.dimension):
        journal.keep(stem, "checkpoint")
    else:
        geometry = geometry_of(chosen)
        journal.do(stem, "checkpoint", lambda: write_stand_in(chosen.name, checkpoint, geometry=geometry))
    return Candidate(stem, checkpoint, order.work / "stand-ins" / stem, order.also)


def _bundle(candidate: Candidate, journal: Journal) -> Verified | DoesNotHoldError:
    name = candidate.name
    kept = journal.do(name, "check", lambda: _ready(candidate))
    if kept is not None:
        journal.keep(name, "bundle", "verify")
        journal.show(name, 1, 1)
        return kept
    journal.steps.pop()  # it will be checked when it is there
    if _is_of(candidate):
        journal.keep(name, "bundle")
    else:
        target = Target(candidate.bundle, name, True, candidate.also)
        journal.do(name, "bundle", lambda: make_bundle(Source(candidate.checkpoint), target))
    journal.do(name, "verify", lambda: _verify(candidate, journal.show))
    try:
        return journal.do(name, "check", lambda: verified(candidate.bundle))
    except DoesNotHoldError as error:
        return error


def _ready(candidate: Candidate) -> Verified | None:
    """The bundle, where it is of this checkpoint and may be published."""
    try:
        found = verified(candidate.bundle)
    except (InputError, DoesNotHoldError):
        return None
    return found if _is_made_so(found.bundle.manifest, candidate) else None


def _is_of(candidate: Candidate) -> bool:
    """Whether there is a bundle of this checkpoint in which nothing is wrong but the report, which is made anew.

    One that another version of this tool made may lack what is expected now.
    """
    try:
        found = check_bundle(candidate.bundle)
    except InputError:
        return False
    if found.manifest is None or any(p.file not in (REPORT, FILE_NAMES["card"]) for p in found.problems):
        return False
    return _is_made_so(found.manifest, candidate)


def _is_made_so(manifest: Manifest, candidate: Candidate) -> bool:
    """Whether a bundle is of this checkpoint, with the ports that are wanted and no others."""
    also = {port for port in MORE_PORTS if port in manifest.ports}
    return also == set(candidate.also) and manifest.source.sha256 == sha256_of(candidate.checkpoint)


def _verify(candidate: Candidate, show: Progress) -> None:
    subject = of_bundle(candidate.bundle, candidate.checkpoint)
    report = verify(subject, Plan(), show)
    attach_report(candidate.bundle, to_json(report).encode())
