"""Name, size and SHA-256 of a file: what it is known again by, and whether it stayed what it was."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import as_text, reason_of
from aves_artifacts.files.documents import open_file


@dataclass(frozen=True)
class FileRecord:
    """A file's name in its folder, its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str


def file_record(path: Path) -> FileRecord:
    """Measure and hash a file; return its record. Raises InputError where it cannot be read."""
    digest = sha256_of(path)
    return FileRecord(as_text(path.name), path.stat().st_size, digest)


def folder_record(folder: Path, files: Iterable[Path]) -> FileRecord:
    """Measure and hash these files of a folder; return one record for all. Raises InputError as ``file_record``."""
    records = [file_record(path) for path in files]
    digest = folder_sha256({record.name: record.sha256 for record in records})
    return FileRecord(as_text(folder.resolve().name), sum(record.size for record in records), digest)


def folder_sha256(files: Mapping[str, str]) -> str:
    """Compute one SHA-256 for several files, given by name: of the lines that ``sha256sum`` prints, sorted by name.

    >>> folder_sha256({"b": "1" * 64, "a": "2" * 64})[:8]
    'fc25e17b'
    """
    lines = (f"{sha256}  {name}\n" for name, sha256 in sorted(files.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes, in hexadecimal. Raises InputError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open_file(path) as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise InputError(f"{path}: cannot read: {reason_of(error)}") from None
    return digest.hexdigest()


@contextmanager
def unchanged(*paths: Path | None) -> Iterator[None]:
    """Raise InputError where one of these files is another when the block ends than when it began.

    A file is read more than once, for its hash and for its content: both must be of the same bytes.
    """
    files = [path for path in paths if path is not None]
    before = [version_of_file(path) for path in files]
    yield
    for path, version in zip(files, before, strict=True):
        if version_of_file(path) != version:
            raise InputError(f"{path}: changed while it was read; run again when nothing writes to it")


def version_of_file(path: Path) -> tuple[int, ...] | None:
    """What the system knows a file's present content by; None where there is none that can be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
