"""A bundle: the files of one encoder in one folder, and the manifest that describes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of
from aves_artifacts.bundle.manifest import MANIFEST, Manifest, Role
from aves_artifacts.files.documents import read_file
from aves_artifacts.files.file_record import FileRecord, sha256_of


@dataclass(frozen=True)
class Bundle:
    """A folder of one encoder's files, and its manifest."""

    folder: Path
    manifest: Manifest

    def path(self, role: Role) -> Path:
        """The path of the file with this role, such as ``onnx`` or ``torchaudio``."""
        return self.folder / self.manifest.files[role].name


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle's manifest. Raises InputError where it is missing, damaged or names files outside the folder."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder that aves-convert bundle wrote")
    try:
        text = read_file(path).decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{folder}: no bundle: {MANIFEST} is missing; make one with: aves-convert bundle") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the manifest: {reason_of(error)}") from None
    return Bundle(folder, Manifest.from_json(text, where=str(path)))


def hash_problems(bundle: Bundle) -> list[str]:
    """Tell which files are not as they were when the bundle was made, the manifest included.

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
