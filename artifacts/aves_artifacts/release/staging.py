"""Putting a release together before it is published: its files, and the documents that describe them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.base.messages import quoted
from aves_artifacts.base.versions import own_version
from aves_artifacts.bundle.manifest import MANIFEST
from aves_artifacts.files.file_record import FileRecord, file_record
from aves_artifacts.files.writing import replacing
from aves_artifacts.release.gate import Verified
from aves_artifacts.release.index import CLAIM, INDEX, Index, IndexedConfiguration, claim_text
from aves_artifacts.release.notes import release_notes
from aves_artifacts.release.provenance import SIGNED, STATEMENT, Signer, provenance

SUMS = "SHA256SUMS"
NOTES = "RELEASE.md"

# Versions and bundles become parts of addresses.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_TAKEN = frozenset(name.lower() for name in (INDEX, CLAIM, SUMS, NOTES, STATEMENT, SIGNED))  # case: not on every disk
_RENAME = "rename the checkpoint, or make the bundle anew with another name"


@dataclass(frozen=True)
class ReleaseFile(FileRecord):
    """One file of a release; ``name`` is its path below the version, ``source`` where its bytes are now."""

    source: Path


@dataclass(frozen=True)
class Release:
    """A version with all of its files. The index names them, but for the statement; the claim names both."""

    version: str
    files: tuple[ReleaseFile, ...]
    index: ReleaseFile
    claim: ReleaseFile


def usable_version(version: str | None) -> str:
    """Return ``version``, by default this tool's own. Raises InputError where it cannot be part of an address."""
    if version is None:
        return own_version()
    if not _NAME.fullmatch(version):
        raise InputError(f"version {quoted(version)}: expected letters, digits, '.', '_', '+' and '-', such as 1.0.0")
    return version


def stage(bundles: Sequence[Verified], version: str, folder: Path, signer: Signer | None = None) -> Release:
    """Write a release's documents into ``folder``; the bundles' files stay where they are.

    The same bundles, version and key give the same bytes at any time and in any order, so that a killed run can be
    completed. Raises InputError for names that cannot be published, DoesNotHoldError for two bundles with the same
    weights.
    """
    bundles = sorted(bundles, key=lambda bundle: bundle.name)
    usable_version(version)
    check_names([bundle.name for bundle in bundles])
    _check_twins(bundles)
    files = [file for bundle in bundles for file in _bundle_files(bundle)]
    files.append(_document(folder, NOTES, release_notes(bundles, version, signed=signer is not None)))
    files.append(_document(folder, SUMS, "".join(f"{file.sha256}  {file.name}\n" for file in files)))
    listed = {file.name: FileRecord(file.name, file.size, file.sha256) for file in files}
    name = SIGNED if signer else STATEMENT
    made = Index(version, tuple(map(IndexedConfiguration.of, bundles)), listed, name)
    index = _document(folder, INDEX, made.to_json())
    statement = _document(folder, name, provenance(bundles, version, [*files, index], signer))
    told = FileRecord(name, statement.size, statement.sha256)
    claim = _document(folder, CLAIM, claim_text(version, index, told))
    return Release(version, (*files, statement), index, claim)


def _bundle_files(bundle: Verified) -> Iterator[ReleaseFile]:
    folder, manifest = bundle.bundle.folder, bundle.bundle.manifest
    records = [*manifest.files.values(), file_record(folder / MANIFEST)]
    records += [manifest.report] if manifest.report else []
    for record in records:
        for part in record.name.split("/"):  # the folder for transformers, and each file in it
            _check_name(part)
        yield ReleaseFile(f"{manifest.name}/{record.name}", record.size, record.sha256, folder / record.name)


def _document(folder: Path, name: str, text: str) -> ReleaseFile:
    content = text.encode()
    with replacing(folder / name) as temporary:
        temporary.write_bytes(content)
    return ReleaseFile(name, len(content), hashlib.sha256(content).hexdigest(), folder / name)


def check_names(names: Sequence[str]) -> None:
    """Raise InputError where encoders of these names cannot be published together."""
    for name in names:
        _check_name(name)
        if name.lower() in _TAKEN:
            raise InputError(f"the name {quoted(name)} is that of a document of the release; {_RENAME}")
    twice = [name for name, count in Counter(map(str.lower, names)).items() if count > 1]
    if twice:
        raise InputError(f"two bundles are called {twice[0]}; give each once, or rename one")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"the name {quoted(name)} cannot be part of an address, expected letters, digits, '.', '_' and '-'; "
            f"{_RENAME}"
        )


def _check_twins(bundles: Sequence[Verified]) -> None:
    owners: dict[str, str] = {}
    for bundle in bundles:
        owner = owners.setdefault(bundle.bundle.manifest.files["torchaudio"].sha256, bundle.name)
        if owner != bundle.name:
            raise DoesNotHoldError(f"{owner} and {bundle.name} have the same weights: one of them has the other's")
