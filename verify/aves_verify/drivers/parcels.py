"""Files that travel to workers on other machines: in pieces, checked by their hash, each once to each worker."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_PIECE = 32 << 20  # bytes of one message; a scheduler holds it while it hands it on
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Parcel:
    """A file that travels: its name there, its size in bytes and SHA-256, and the folder that it shares with others."""

    path: str
    folder: str
    name: str
    size: int
    sha256: str

    def lies(self, root: Path) -> Path:
        """Where it lies below a worker's folder."""
        return root / self.folder / self.name

    def is_at(self, root: Path) -> bool:
        """Whether it is there, whole: it has its name only since its hash was checked."""
        place = self.lies(root)
        return place.is_file() and place.stat().st_size == self.size


def packed(files: Sequence[Path]) -> tuple[Parcel, ...]:
    """Describe files, which are read once. Those of one folder stay in one, so that they find each other by name.

    Raises OSError.
    """
    hashes = {path: _sha256(path) for path in files}
    parcels = []
    for path in files:
        beside = sorted((other.name, hashes[other]) for other in files if other.parent == path.parent)
        folder = hashlib.sha256(repr((str(path.parent), beside)).encode()).hexdigest()[:16]
        parcels.append(Parcel(str(path), folder, path.name, path.stat().st_size, hashes[path]))
    return tuple(parcels)


def pieces(parcel: Parcel) -> Iterator[tuple[int, bytes]]:
    """A file's bytes, with where each piece begins; an empty file is one empty piece. Raises OSError."""
    with open(parcel.path, "rb") as file:
        at = 0
        while at == 0 or at < parcel.size:
            piece = file.read(_PIECE)
            yield at, piece
            at += max(1, len(piece))


def put(root: Path, parcel: Parcel, at: int, piece: bytes, sender: str) -> str:
    """Write a piece of a file; with the last one the file gets its name. Return what is wrong, or nothing."""
    place = parcel.lies(root)
    partial = place.with_name(f"{place.name}.{sender}")
    try:
        if parcel.is_at(root):
            return ""
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "r+b" if at else "wb") as file:
            file.seek(at)
            file.write(piece)
        if at + len(piece) < parcel.size:
            return ""
        if _sha256(partial) != parcel.sha256:
            partial.unlink()
            return f"{parcel.name} arrived changed: was the file changed since the run began?"
        os.replace(partial, place)
    except OSError as error:
        return f"{parcel.name} cannot be written: {error.strerror or type(error).__name__}"
    return ""


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
