"""Uploading a release: data first, the index last, nothing replaced, everything read back.

The order is the contract. A claim that names the index comes first, so that of two publishers of one version the second
is refused before it has written anything. Then come the files, then the index. Whoever starts at the index sees all of
a release or nothing of it. Every step makes one file, and finds it done when it is repeated: a killed run is completed
by running it again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.base.messages import size_text
from aves_artifacts.base.progress import Watcher
from aves_artifacts.bundle.manifest import MANIFEST
from aves_artifacts.files.address import Address
from aves_artifacts.files.concurrency import each, stopping
from aves_artifacts.files.documents import MAX_DOCUMENT
from aves_artifacts.release.index import CLAIM, INDEX
from aves_artifacts.release.staging import Release, ReleaseFile

State = Literal["new", "unfinished", "published"]


@dataclass(frozen=True)
class PlannedUpload:
    """What publishing a release at an address would do."""

    release: Release
    address: Address  # the version's own folder
    state: State
    missing: tuple[ReleaseFile, ...]  # what will be uploaded, beside claim and index
    present: tuple[ReleaseFile, ...]  # what is there, and will be read


@dataclass(frozen=True)
class Published:
    """What publishing did."""

    plan: PlannedUpload
    uploaded: tuple[str, ...]  # names below the address, claim and index included


def plan_upload(release: Release, address: Address) -> PlannedUpload:
    """Look at what is at the address and plan the upload; write nothing.

    Raises InputError where the version holds other content, and where the address is itself a bundle.
    """
    if address.size(MANIFEST) is not None:  # the address was left out, and the last bundle stands in its place
        raise InputError(f"{address.url}: this is a bundle; after the bundles give the address to publish them at")
    place = address.below(release.version)
    state = _state(release, place)
    sizes = each(lambda file: place.size(file.name), release.files)
    missing = tuple(file for file, size in zip(release.files, sizes, strict=True) if size is None)
    return PlannedUpload(release, place, state, missing, tuple(file for file in release.files if file not in missing))


def publish(planned: PlannedUpload, watcher: Watcher) -> Published:
    """Upload a release, complete one that was cut off, or check one that is there.

    Raises InputError where the address cannot be written or holds other content, DoesNotHoldError where what is read
    back is not what was written. In both cases no index is there that was not there before.
    """
    release, place = planned.release, planned.address
    watcher.announce({file.source: file.size for file in planned.missing})
    uploaded: list[str] = []
    with stopping() as stop:
        if not _check_claim(release, place) and place.create(CLAIM, release.claim.source):
            uploaded.append(CLAIM)
        if not _check_claim(release, place):  # another publisher may have been faster
            raise DoesNotHoldError(f"{place.url}/{CLAIM}: what was written is not there")
        outcomes = each(partial(_settled, place, watcher, stop), release.files)
        _raise_problems(outcomes)
        uploaded += [file.name for file, done in zip(release.files, outcomes, strict=True) if done is True]
        _check_claim(release, place)  # a store that cannot refuse may have taken another one meanwhile
        if _settle(place, watcher, stop, release.index):
            uploaded.append(INDEX)
    _check_sizes(release, place)
    place.sweep()
    return Published(planned, tuple(uploaded))


def told(outcome: PlannedUpload | Published) -> Iterator[str]:
    """Tell people in lines what was done, or would be."""
    planned = outcome if isinstance(outcome, PlannedUpload) else outcome.plan
    files, place = planned.release.files, planned.address
    if isinstance(outcome, Published):
        sent = [file for file in files if file.name in outcome.uploaded]
        yield f"uploaded {_counted(sent)}; {_counted([file for file in files if file not in sent])} were there already"
        yield f"{place.url}: version {planned.release.version} is published, and reads back as it is here"
    else:
        yield from (f"upload  {file.name}  {size_text(file.size)}" for file in planned.missing)
        yield from (f"there   {file.name}  {size_text(file.size)}" for file in planned.present)
        yield f"{place.url}: {planned.state}; {_counted(planned.missing)} to upload; nothing was written"
    if not place.is_exclusive:
        yield "this store cannot refuse a name that is taken: let only one publisher at a time write to it"


def _counted(files: Sequence[ReleaseFile]) -> str:
    return f"{len(files)} files ({size_text(sum(file.size for file in files))})"


def _state(release: Release, place: Address) -> State:
    index = place.record(INDEX, most=MAX_DOCUMENT)
    if index is not None:
        if index.sha256 != release.index.sha256:
            raise InputError(
                f"{place.url}: version {release.version} is published already, with other content; nothing was changed",
                hint="give another {version}",
            )
        return "published"
    return "unfinished" if _check_claim(release, place) else "new"


def _check_claim(release: Release, place: Address) -> bool:
    """Whether the version is claimed for this release. Raises InputError where it is for another."""
    claim = place.record(CLAIM, most=MAX_DOCUMENT)
    if claim is not None and claim.sha256 != release.claim.sha256:
        raise InputError(
            f"{place.url}: version {release.version} is claimed by a release with other content that is not published "
            "yet; let that one finish, or remove this folder if it was given up",
            hint="or give another {version}",
        )
    return claim is not None


def _check_sizes(release: Release, place: Address) -> None:
    """Raise DoesNotHoldError where a store did not keep what it gave back."""
    files = (release.claim, *release.files, release.index)
    sizes = each(lambda file: place.size(file.name), files)
    changed = [file.name for file, size in zip(files, sizes, strict=True) if size != file.size]
    if changed:
        raise DoesNotHoldError(*(f"{place.url}/{name}: has another size than was read back" for name in changed))


def _settled(
    place: Address, watcher: Watcher, stop: threading.Event, file: ReleaseFile
) -> bool | InputError | DoesNotHoldError:
    try:
        return _settle(place, watcher, stop, file)
    except (InputError, DoesNotHoldError) as error:
        stop.set()  # what is under way ends, nothing new begins
        return error


def _settle(place: Address, watcher: Watcher, stop: threading.Event, file: ReleaseFile) -> bool:
    """See to it that the address holds this file; whether it had to be uploaded."""
    if stop.is_set():
        return False
    held = partial(watcher.held, file.source)
    size = place.size(file.name)
    uploaded = size is None and place.create(file.name, file.source, held)
    found = place.record(file.name, held, most=file.size) if uploaded or size in (None, file.size) else None
    if found is not None and (found.size, found.sha256) == (file.size, file.sha256):
        return uploaded
    if uploaded:
        raise DoesNotHoldError(f"{place.url}/{file.name}: what is read back is not what was written; no index was made")
    raise InputError(
        f"{place.url}/{file.name}: there is another file of that name; nothing replaces it: remove it by hand",
        hint="or give another {version}",
    )


def _raise_problems(outcomes: Sequence[bool | InputError | DoesNotHoldError]) -> None:
    broken = [error for error in outcomes if isinstance(error, DoesNotHoldError)]
    if broken:
        raise DoesNotHoldError(*(problem for error in broken for problem in error.problems))
    bad = [error for error in outcomes if isinstance(error, InputError)]
    if bad:
        raise InputError(*(problem for error in bad for problem in error.problems), hint=bad[0].hint)
