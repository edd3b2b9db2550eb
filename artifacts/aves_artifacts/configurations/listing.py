"""Listing the catalogue together with the files that are here, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from aves_artifacts.base.messages import size_text
from aves_artifacts.bundle.manifest import MANIFEST
from aves_artifacts.configurations.catalog import Configuration, PublishedRole, catalog
from aves_artifacts.configurations.store import bundle_folder, part_of, place


@dataclass(frozen=True)
class ListedFile:
    """A published file, and what is here of it."""

    address: str
    path: str  # where it lies, or would
    size: int | None  # in bytes; None: it is not here
    partial: int | None  # bytes of its beginning; None: there is none


@dataclass(frozen=True)
class ListedConfiguration:
    """A configuration, and what is here of it."""

    configuration: Configuration
    files: Mapping[PublishedRole, ListedFile]
    bundle: str | None  # the folder of the one that was made here; None: there is none


def listing() -> list[ListedConfiguration]:
    """Every configuration of the catalogue, and what is here of it."""
    return [
        ListedConfiguration(
            configuration,
            {role: _file(configuration, role) for role in configuration.files},
            str(folder) if ((folder := bundle_folder(configuration)) / MANIFEST).is_file() else None,
        )
        for configuration in catalog().values()
    ]


def listing_json() -> str:
    """The listing for programs: a JSON object for each configuration, with its facts and what is here."""
    entries = [
        asdict(each.configuration)
        | {"files": {role: asdict(file) for role, file in each.files.items()}, "bundle": each.bundle}
        for each in listing()
    ]
    return json.dumps(entries, indent=2)


def lines() -> Iterator[str]:
    """Two lines for each configuration: what it is, and what is here."""
    width = max(len(name) for name in catalog())
    for each in listing():
        known = each.configuration
        hours = "" if known.hours is None else f"{known.hours} h"
        yield f"{known.name:{width}} {hours:>7} {known.dimension:5}  {known.pretraining}"
        here = ", ".join(_here(each))
        yield f"{'':{width + 15}}{f'here: {here}' if here else 'nothing here'}"


def _file(configuration: Configuration, role: PublishedRole) -> ListedFile:
    path = place(configuration, role)
    return ListedFile(configuration.files[role], str(path), size=_size(path), partial=_size(part_of(path)))


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _here(listed: ListedConfiguration) -> Iterator[str]:
    for role, file in listed.files.items():
        if file.size is not None:
            yield f"{role} {size_text(file.size)}"
        elif file.partial is not None:
            yield f"{role} in part ({size_text(file.partial)})"
    if listed.bundle:
        yield "a bundle made here"
