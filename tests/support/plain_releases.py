"""Releases of files that are only bytes: nothing here takes long to import."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

from aves_artifacts.release.index import CLAIM, INDEX
from aves_artifacts.release.staging import Release, ReleaseFile


def plain_release(folder: Path, *, files: int = 5, size: int = 1000, seed: int = 0, version: str = "1.0") -> Release:
    """A release of random bytes, the same for the same seed."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = random.Random(seed)  # noqa: S311
    listed = tuple(_file(folder, f"owls/{i}.bin", generator.randbytes(size)) for i in range(files))
    text = json.dumps([[file.name, file.size, file.sha256] for file in listed])
    index = _file(folder, INDEX, text.encode())
    return Release(version, listed, index, _file(folder, CLAIM, index.sha256.encode()))


def _file(folder: Path, name: str, content: bytes) -> ReleaseFile:
    path = folder / name.replace("/", "-")
    path.write_bytes(content)
    return ReleaseFile(name, len(content), hashlib.sha256(content).hexdigest(), path)
