"""Name, size and SHA-256 of a file: what it is known again by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aves_artifacts.base.documents import open_file
from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of


@dataclass(frozen=True)
class FileRecord:
    """A file's name in its folder, its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str


def file_record(path: Path) -> FileRecord:
    """Measure and hash a file; return its record. Raises InputError where it cannot be read."""
    digest = sha256_of(path)
    return FileRecord(path.name, path.stat().st_size, digest)


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
