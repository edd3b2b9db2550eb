"""Fetching published files into the store: each whole, checked by content and against the lock file, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import printable_address, reason_of, size_text
from aves_artifacts.base.progress import Silent, Watcher
from aves_artifacts.configurations.catalog import ROLES, Configuration, PublishedRole, catalog, named
from aves_artifacts.configurations.store import part_of, place, store
from aves_artifacts.fetch.download import Network, Transfer, discard, download, remote_size
from aves_artifacts.fetch.file_kind import content_problem
from aves_artifacts.fetch.lock_file import Locked, LockFile, MismatchError, default_lock_file
from aves_artifacts.files.concurrency import each, exclusive, stopping
from aves_artifacts.files.documents import open_file
from aves_artifacts.files.file_record import sha256_of
from aves_artifacts.files.writing import make_folder

if TYPE_CHECKING:
    import httpx2


@dataclass(frozen=True)
class Wanted:
    """One published file of one configuration."""

    configuration: Configuration
    role: PublishedRole

    @property
    def published(self) -> bool:
        """Whether there is such a file at all."""
        return self.role in self.configuration.files

    @property
    def path(self) -> Path:
        """The path at which it lies in the store."""
        return place(self.configuration, self.role)

    @property
    def address(self) -> str:
        """The address at which it is published."""
        return self.configuration.files[self.role]


@dataclass(frozen=True)
class Fetched:
    """A file that is here and as the lock file records it."""

    path: Path
    size: int
    was_here: bool


def offline_by_environment() -> bool:
    """Whether ``$AVES_OFFLINE`` is set to anything but 0, false or no."""
    return os.environ.get("AVES_OFFLINE", "").lower() not in ("", "0", "false", "no")


@dataclass(frozen=True)
class Fetcher:
    """Fetches published files into the local store, each whole and checked, or not at all.

    ``lock`` records size and hash of each file at its first fetch, and later ones must bring the same bytes; by default
    it is the file that ``$AVES_LOCK`` names, else the store's own. ``watcher`` is told how downloads go on. With
    ``offline``, by default where ``$AVES_OFFLINE`` says so, no network is used: what is here is checked.
    """

    lock: LockFile = field(default_factory=default_lock_file)
    watcher: Watcher = field(default_factory=Silent)
    network: Network = field(default_factory=Network)
    offline: bool = field(default_factory=offline_by_environment)

    def fetch(self, names: Sequence[str], roles: Sequence[PublishedRole] = ()) -> list[Fetched]:
        """Fetch the files of these configurations into the store: all of them, or those of some ``roles``.

        Names are those of ``catalog``; roles are original, torchaudio, config and onnx. Returns path and size of each.
        Raises InputError that tells of every file that failed.
        """
        return self.fetch_files(wanted_files(names, roles=roles))

    def fetch_files(self, wanted: Sequence[Wanted]) -> list[Fetched]:
        """Fetch these files into the store, several at once. Raises InputError that tells of every file that failed.

        What is here already is checked and needs neither a network nor a store that can be written.
        """
        entries = self.lock.entries()
        missing = [file for file in wanted if not file.path.is_file()]
        if missing and self.offline:
            asked = offline_by_environment()
            off = "fetching is turned off" + (" by $AVES_OFFLINE" if asked else "")
            raise InputError(
                *(f"{file.path}: not here, and {off}" for file in missing),
                hint="" if asked else "leave {offline} out",
            )
        here = [file for file in wanted if file not in missing]
        outcomes = {file.path: outcome for file, outcome in zip(here, each(self._accepted, here), strict=True)}
        if missing:
            fetched = self._fetch_missing(missing, entries)
            outcomes |= {file.path: outcome for file, outcome in zip(missing, fetched, strict=True)}
        failed = [outcome for outcome in outcomes.values() if isinstance(outcome, InputError)]
        if failed:
            raise InputError(*(problem for error in failed for problem in error.problems))
        return [found for file in wanted if isinstance(found := outcomes[file.path], Fetched)]

    def _fetch_missing(self, missing: Sequence[Wanted], entries: dict[str, Locked]) -> list[Fetched | InputError]:
        with self.network.client() as client, stopping() as stop:
            found = each(partial(_size, client, entries), missing)
            sizes = {file.path: size for file, size in zip(missing, found, strict=True)}
            _check_room(sizes)
            if any(file.path.name not in entries for file in missing):
                self.lock.check_writable()
            self.watcher.announce(sizes)
            return each(partial(self._fetch_one, client, entries, stop), missing)

    def _fetch_one(
        self, client: httpx2.Client, entries: dict[str, Locked], stop: threading.Event, file: Wanted
    ) -> Fetched | InputError:
        try:
            with exclusive(file.path, stop):
                if file.path.is_file():  # brought by another process, while this one waited
                    return self._accepted(file)
                known = entries.get(file.path.name)
                held = partial(self.watcher.held, file.path)
                transfer = Transfer(file.address, part_of(file.path), known.size if known else None, held, stop)
                answer = download(client, transfer, self.network)
                self._take(file, transfer.part, etag=answer.etag, md5=answer.md5)
                return Fetched(file.path, file.path.stat().st_size, was_here=False)
        except InputError as error:
            return error
        except OSError as error:
            return InputError(f"{file.path}: cannot write here: {reason_of(error)}; set $AVES_HOME elsewhere")

    def _take(self, file: Wanted, part: Path, *, etag: str, md5: str) -> None:
        """Give a whole part its name. What is not the file is removed."""
        address = printable_address(file.address)
        problem = content_problem(part, file.role, file.configuration.dimension)
        if not problem and md5 and _md5_of(part) != md5:
            problem = "its MD5 is not the one that the server gives"
        if problem:
            discard(part)
            raise InputError(f"{address}: not the file that was expected: {problem}; nothing of it is kept")
        try:
            self._settle(file, part, etag)
        except MismatchError as error:
            discard(part)
            raise InputError(f"{address}: {error}; nothing of it is kept") from None
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(file.path)
        discard(part)

    def _accepted(self, file: Wanted) -> Fetched | InputError:
        """A file that is here already, or why it is not what it should be; it is left alone."""
        try:
            problem = content_problem(file.path, file.role, file.configuration.dimension)
            if problem:
                return InputError(f"{file.path}: not the file that was expected: {problem}; remove it and fetch again")
            self._settle(file, file.path, etag="")
            size = file.path.stat().st_size
        except InputError as error:
            return error
        except OSError as error:
            return InputError(f"{file.path}: cannot read: {reason_of(error)}")
        self.watcher.held(file.path, size)
        return Fetched(file.path, size, was_here=True)

    def _settle(self, file: Wanted, path: Path, etag: str) -> None:
        found = Locked(printable_address(file.address), path.stat().st_size, etag, sha256_of(path))
        # Configs of one size are equal; weights never are.
        self.lock.settle(file.path.name, found, unique=file.role != "config")


def wanted_files(names: Sequence[str], *, everything: bool = False, roles: Sequence[str] = ()) -> list[Wanted]:
    """List the published files of the configurations that are named, or of everything, of some roles or all.

    Of a checkpoint at a path nothing is wanted. Raises InputError for what the catalogue does not have.
    """
    if everything == bool(names):
        raise InputError(
            "expected the names of configurations, or all of them",
            hint="give NAME… or {everything}; aves-artifacts list shows the names",
        )
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        raise InputError(
            *(f"{role}: no kind of file that is published; there are {', '.join(ROLES)}" for role in unknown),
            hint="give some of them with {roles}",
        )
    chosen = list(catalog().values()) if everything else [c for c in named(names) if isinstance(c, Configuration)]
    wanted = [
        Wanted(configuration, role)
        for configuration in {c.name: c for c in chosen}.values()  # each once
        for role in ROLES
        if not roles or role in roles
    ]
    lacking = [f"{file.configuration.name} has no published {file.role}" for file in wanted if not file.published]
    if roles and lacking and not everything:
        raise InputError(*lacking, hint="leave it out of {roles}")
    return [file for file in wanted if file.published]


def _size(client: httpx2.Client, entries: dict[str, Locked], file: Wanted) -> int | None:
    known = entries.get(file.path.name)
    return known.size if known else remote_size(client, file.address)


def _check_room(sizes: Mapping[Path, int | None]) -> None:
    parts = [part_of(path) for path in sizes]
    needed = sum(size or 0 for size in sizes.values()) - sum(part.stat().st_size for part in parts if part.is_file())
    try:
        make_folder(store())
        free = shutil.disk_usage(store()).free
    except OSError as error:
        raise InputError(f"{store()}: cannot write here: {reason_of(error)}; set $AVES_HOME elsewhere") from None
    if needed > free:
        raise InputError(
            f"{store()}: {size_text(needed)} to fetch, {size_text(free)} free; make room or set $AVES_HOME elsewhere"
        )


def _md5_of(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open_file(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
