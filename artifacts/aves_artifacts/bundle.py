"""A configuration's files and their manifest: written whole, read, checked by hash."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from aves_artifacts.errors import InputError

MANIFEST = "manifest.json"
SCHEMA = 1

Role = Literal["torchaudio", "config", "onnx"]
# File names as the model's authors publish them; {name} is the configuration's, e.g. aves-base-bio.
FILE_NAMES: dict[Role, str] = {
    "torchaudio": "{name}.torchaudio.pt",
    "config": "{name}.torchaudio.model_config.json",
    "onnx": "{name}.onnx",
}


@dataclass(frozen=True)
class FileRecord:
    """One file of a bundle: its name in the folder, its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds and where it came from. ``source`` and ``encoder`` are plain JSON objects."""

    name: str
    files: Mapping[str, FileRecord]  # by role
    source: Mapping[str, Any]  # the checkpoint: file name, size, sha256, model class, updates
    encoder: Mapping[str, Any]  # what the JSON config may not hold: sample rate, hop, normalisation, dimension
    ledger: tuple[Mapping[str, Any], ...] = field(repr=False)  # what became of every source tensor
    versions: Mapping[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_json(self) -> str:
        """The manifest as a person may read it: two spaces, one ledger entry per line."""
        entries = asdict(self) | {"ledger": []}
        text = json.dumps(entries, indent=2, ensure_ascii=False)
        ledger = ",\n    ".join(json.dumps(entry, ensure_ascii=False) for entry in self.ledger)
        return text.replace('"ledger": []', f'"ledger": [\n    {ledger}\n  ]') + "\n"


@dataclass(frozen=True)
class Bundle:
    """A folder with a manifest."""

    folder: Path
    manifest: Manifest

    def path(self, role: Role) -> Path:
        """Where the file of this role lies."""
        return self.folder / self.manifest.files[role].name


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle's manifest. Raises InputError where it is missing, damaged or names files outside the folder."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder that aves-convert bundle wrote")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder}: no bundle: {MANIFEST} is missing; make one with: aves-convert bundle") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot read the manifest: {error}") from None
    try:
        if entries["schema"] != SCHEMA:
            raise InputError(
                f"{path}: schema {entries['schema']!r}, expected {SCHEMA}; it is from another version of this tool"
            )
        files = {role: FileRecord(**record) for role, record in entries["files"].items()}
        manifest = Manifest(**{**entries, "files": files, "ledger": tuple(entries["ledger"])})
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a bundle's manifest: {error}; make it anew with: aves-convert bundle") from None
    problem = _wrong_type(manifest)
    if problem:
        raise InputError(f"{path}: not a bundle's manifest: {problem}; make it anew with: aves-convert bundle")
    for role in FILE_NAMES:
        if role not in files:
            raise InputError(
                f"{path}: the manifest names no {role} file; make the bundle anew with: aves-convert bundle"
            )
    for record in files.values():
        if not isinstance(record.name, str) or Path(record.name).name != record.name:
            raise InputError(f"{path}: the manifest names {record.name!r}, which is no plain file name")
    return Bundle(folder, manifest)


def _wrong_type(manifest: Manifest) -> str:
    """The first entry that is not what its name promises; empty when all are."""
    normalize = manifest.encoder.get("normalize", False) if isinstance(manifest.encoder, dict) else None
    expected: list[tuple[str, object, type]] = [
        ("name", manifest.name, str),
        ("source", manifest.source, dict),
        ("encoder", manifest.encoder, dict),
        ("versions", manifest.versions, dict),
        ("encoder.normalize", normalize, bool),
        *(("ledger", entry, dict) for entry in manifest.ledger),
    ]
    for record in manifest.files.values():
        expected += [("size", record.size, int), ("sha256", record.sha256, str)]
    return next((f"{name} is no {kind.__name__}" for name, value, kind in expected if type(value) is not kind), "")


def hash_problems(bundle: Bundle) -> list[str]:
    """Every file that is missing or not the one that the manifest records."""
    problems = []
    for record in bundle.manifest.files.values():
        path = bundle.folder / record.name
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif file_record(path) != record:
            problems.append(f"{path} is not the file that {MANIFEST} records (size or SHA-256 differ)")
    return problems


def file_record(path: Path) -> FileRecord:
    """Name, size and SHA-256 of a file."""
    return FileRecord(path.name, path.stat().st_size, sha256_of(path))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal. Raises InputError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise InputError(f"{path}: cannot read: {error.strerror or error}") from None
    return digest.hexdigest()


@contextmanager
def staged(folder: Path, names: list[str], *, force: bool) -> Iterator[Path]:
    """Yield an empty folder beside ``folder``'s files; move what was written there into place when the block succeeds.

    ``names`` are all the files that will be written; the last one is moved last and removed first, so that it never
    stands beside files that it does not describe. Raises InputError where one of them exists already (without
    ``force``) or nothing can be written.
    """
    for name in names:
        if (folder / name).is_dir():
            raise InputError(f"{folder / name}: this is a folder; give the name of a file in it")
    existing = [name for name in names if (folder / name).exists()]
    if existing and not force:
        raise InputError(f"{folder}: {', '.join(existing)} already there; nothing was written; give --force to replace")
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=folder, prefix=".partial-"))
    except OSError as error:
        raise InputError(f"{folder}: cannot write here: {error.strerror or error}; choose another folder") from None
    try:
        yield staging
        (folder / names[-1]).unlink(missing_ok=True)
        also = sorted(path.name for path in staging.iterdir() if path.name not in names)  # weights past 2 GB
        for name in (*also, *names):
            (staging / name).replace(folder / name)
    except OSError as error:
        raise InputError(f"{folder}: cannot write: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if made and not any(folder.iterdir()):
            folder.rmdir()
