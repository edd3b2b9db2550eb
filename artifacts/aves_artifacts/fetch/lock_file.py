"""The lock file: sizes and hashes of what was fetched, so that a later fetch brings the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import quoted, reason_of
from aves_artifacts.configurations.settings import path_in
from aves_artifacts.configurations.store import store
from aves_artifacts.files.documents import parse_json, read_file
from aves_artifacts.files.writing import check_writable, make_folder, replacing

LOCK_FILE = "aves.lock.json"
SCHEMA = 1
_OTHER = "or give another with {lock}"


class MismatchError(InputError):
    """A file is not what the lock file records."""


@dataclass(frozen=True)
class Locked:
    """What the lock file records of one file when it is fetched first."""

    address: str
    size: int
    etag: str  # empty where the server gave none, or the file did not come from one
    sha256: str


@dataclass(frozen=True)
class LockFile:
    """A JSON file with an entry for each fetched file, which a user may commit."""

    path: Path

    def entries(self) -> dict[str, Locked]:
        """Read all entries; none where the file is not there yet. Raises InputError for another file."""
        try:
            content = parse_json(read_file(self.path))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path}: cannot read the lock file: {reason_of(error)}") from None
        try:
            if content["schema"] != SCHEMA:
                raise InputError(f"{self.path}: schema {quoted(content['schema'])}, expected {SCHEMA}")
            return {name: _locked(entry) for name, entry in content["files"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self.path}: not a lock file: {reason_of(error)}; remove it", hint=_OTHER) from None

    def settle(self, name: str, found: Locked, *, unique: bool) -> None:
        """Record a file under this name, or check that it is what the entry says, which writes nothing.

        With ``unique``, the bytes must not be those of another name. Raises MismatchError where they differ or are, and
        InputError where the entry cannot be written.
        """
        if self._is_recorded(name, found, unique=unique):
            return
        with self._exclusive():
            if self._is_recorded(name, found, unique=unique):  # by another process, while this one waited
                return
            entries = self.entries() | {name: found}
            content = {"schema": SCHEMA, "files": {key: asdict(entries[key]) for key in sorted(entries)}}
            with replacing(self.path) as temporary:
                temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def check_writable(self) -> None:
        """Raise InputError where no entry could be recorded: before files are downloaded, not after."""
        try:
            make_folder(self.path.parent)
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot write here: {reason_of(error)}; set $AVES_LOCK elsewhere", hint=_OTHER
            ) from None
        check_writable(self.path)

    def _is_recorded(self, name: str, found: Locked, *, unique: bool) -> bool:
        entries = self.entries()
        same = [other for other, entry in entries.items() if entry.sha256 == found.sha256 and other != name]
        if unique and same:
            raise MismatchError(f"{name} has the same bytes as {same[0]}: one of them is another file")
        entry = entries.get(name)
        if entry is not None and (entry.size, entry.sha256) != (found.size, found.sha256):
            raise MismatchError(
                f"{name} is not what {self.path} records: {entry.size} bytes with SHA-256 {entry.sha256[:12]}… were "
                f"expected, {found.size} with {found.sha256[:12]}… found; if that is meant, remove the entry there"
            )
        return entry is not None

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One process at a time; the mark lies in the store, to leave none where a user commits."""
        from filelock import FileLock

        make_folder(store())
        with FileLock(store() / f".{LOCK_FILE}.lock"):
            yield


def default_lock_file() -> LockFile:
    """The lock file that ``$AVES_LOCK`` names, by default one in the store."""
    return LockFile(path_in("AVES_LOCK") or store() / LOCK_FILE)


def _locked(entry: dict[str, Any]) -> Locked:
    locked = Locked(**entry)
    texts = (locked.address, locked.etag, locked.sha256)
    if type(locked.size) is not int or not all(isinstance(text, str) for text in texts):
        raise TypeError("an entry has address, size, etag and sha256")
    return locked
