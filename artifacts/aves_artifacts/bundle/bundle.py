"""A configuration's files in one folder with their manifest: written whole, read, checked by hash."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.file_record import FileRecord, sha256_of
from aves_artifacts.bundle.manifest import MANIFEST, Manifest, Role


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
    if path.exists() and not path.is_file():  # a pipe would be waited for, a device read without end
        raise InputError(f"{path}: cannot read the manifest: it is no file")
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{folder}: no bundle: {MANIFEST} is missing; make one with: aves-convert bundle") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the manifest: {error}") from None
    return Bundle(folder, Manifest.from_json(text, where=str(path)))


def hash_problems(bundle: Bundle) -> list[str]:
    """What is not as it was when the bundle was made: the manifest, and every file of the model that it records.

    The model card is left out: attaching a report writes it anew.
    """
    problems = {MANIFEST: manifest_problem(bundle)}
    for role, record in bundle.manifest.files.items():
        if role != "card":
            problems[record.name] = file_problem(bundle.folder, record)
    return [f"{bundle.folder / name} {problem}" for name, problem in problems.items() if problem]


def manifest_problem(bundle: Bundle) -> str:
    """Why the manifest, which has its own SHA-256, cannot be the one that was written; empty where it can."""
    same = (bundle.folder / MANIFEST).read_bytes() == bundle.manifest.to_json().encode()
    return "" if same else "was changed after it was written: its own SHA-256 is another"


def file_problem(folder: Path, record: FileRecord) -> str:
    """Why the file cannot be the one that the manifest records; empty where it is."""
    path = folder / record.name
    if not path.is_file():
        return "is missing"
    if (path.stat().st_size, sha256_of(path)) != (record.size, record.sha256):
        return f"is not the file that {MANIFEST} records (size or SHA-256 differ)"
    return ""


@contextmanager
def staged(folder: Path, names: Sequence[str], *, force: bool) -> Iterator[Path]:
    """Yield an empty folder beside ``folder``'s files; move what was written there into place when the block succeeds.

    ``names`` are all the files that may be written; one that is not is removed where an earlier run wrote it. The
    last one is moved last and removed first, so that it never stands beside files that it does not describe. Raises
    InputError where one of them exists already (without ``force``) or nothing can be written.
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
        for name in names:
            if (staging / name).exists():
                (staging / name).replace(folder / name)
            else:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot write: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if made and not any(folder.iterdir()):
            folder.rmdir()
