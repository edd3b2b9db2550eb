"""What was fetched, so that a later fetch brings the same bytes: the published files come without checksums."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aves_artifacts.atomic import replacing
from aves_artifacts.errors import InputError
from aves_artifacts.store import store

LOCK_FILE = "aves.lock.json"
SCHEMA = 1


@dataclass(frozen=True)
class Locked:
    """One published file as it was when it was fetched first."""

    address: str
    size: int
    etag: str  # empty where the server gave none, or the file did not come from one
    sha256: str


@dataclass(frozen=True)
class LockFile:
    """A JSON file of entries by file name, which a user may commit."""

    path: Path

    def entries(self) -> dict[str, Locked]:
        """All entries; none where the file is not there yet. Raises InputError for another file."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{self.path}: cannot read the lock file: {error}") from None
        try:
            if content["schema"] != SCHEMA:
                raise InputError(f"{self.path}: schema {content['schema']!r}, expected {SCHEMA}")
            return {name: _locked(entry) for name, entry in content["files"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self.path}: not a lock file: {error}; remove it or give another with --lock") from None

    def settle(self, name: str, found: Locked, *, unique: bool) -> None:
        """Record ``found`` under this name, or check that it is what the entry says.

        With ``unique``, the bytes must not be those of another name. Raises InputError where they differ or are.
        """
        with self._exclusive():
            entries = self.entries()
            same = [other for other, entry in entries.items() if entry.sha256 == found.sha256 and other != name]
            if unique and same:
                raise InputError(f"{name} has the same bytes as {same[0]}: one of them is another file")
            if name in entries:
                if (entries[name].size, entries[name].sha256) != (found.size, found.sha256):
                    raise InputError(
                        f"{name} is not what {self.path} records: {entries[name].size} bytes with SHA-256 "
                        f"{entries[name].sha256[:12]}… were expected, {found.size} with {found.sha256[:12]}… found; "
                        "if the change is meant, remove the entry there"
                    )
                return
            entries[name] = found
            content = {"schema": SCHEMA, "files": {key: asdict(entries[key]) for key in sorted(entries)}}
            with replacing(self.path) as temporary:
                temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One process at a time; the mark lies in the store, to leave none where a user commits."""
        from filelock import FileLock

        store().mkdir(parents=True, exist_ok=True)
        with FileLock(store() / f".{LOCK_FILE}.lock"):
            yield


def default_lock_file() -> LockFile:
    """The one that ``$AVES_LOCK`` names, else the store's own."""
    chosen = os.environ.get("AVES_LOCK")
    return LockFile(Path(chosen).expanduser() if chosen else store() / LOCK_FILE)


def _locked(entry: dict[str, Any]) -> Locked:
    locked = Locked(**entry)
    texts = (locked.address, locked.etag, locked.sha256)
    if type(locked.size) is not int or not all(isinstance(text, str) for text in texts):
        raise TypeError("an entry has address, size, etag and sha256")
    return locked
