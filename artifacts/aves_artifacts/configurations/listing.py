"""The catalogue beside what is here of it, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from aves_artifacts.base.messages import size_text
from aves_artifacts.bundle.manifest import MANIFEST
from aves_artifacts.configurations.catalog import Configuration, PublishedRole, catalog
from aves_artifacts.configurations.store import bundle_folder, part_of, place


def entries() -> list[dict[str, Any]]:
    """Every configuration as a JSON object: its facts, and of each published file the address and what is here."""
    return [
        asdict(configuration)
        | {
            "files": {role: _file(configuration, role) for role in configuration.files},
            "bundle": str(bundle_folder(configuration)) if _has_bundle(configuration) else None,
        }
        for configuration in catalog().values()
    ]


def lines() -> Iterator[str]:
    """Two lines for each configuration: what it is, and what is here."""
    width = max(len(name) for name in catalog())
    for configuration in catalog().values():
        hours = "" if configuration.hours is None else f"{configuration.hours} h"
        yield f"{configuration.name:{width}} {hours:>7} {configuration.dimension:5}  {configuration.pretraining}"
        yield f"{'':{width + 15}}{_here(configuration)}"


def _file(configuration: Configuration, role: PublishedRole) -> dict[str, Any]:
    path = place(configuration, role)
    part = part_of(path)
    return {
        "address": configuration.files[role],
        "path": str(path),
        "size": path.stat().st_size if path.is_file() else None,  # None: not here
        "partial": part.stat().st_size if part.is_file() else None,
    }


def _here(configuration: Configuration) -> str:
    found = []
    for role in configuration.files:
        file = _file(configuration, role)
        if file["size"] is not None:
            found.append(f"{role} {size_text(file['size'])}")
        elif file["partial"] is not None:
            found.append(f"{role} in part ({size_text(file['partial'])})")
    if _has_bundle(configuration):
        found.append("a bundle made here")
    return "here: " + ", ".join(found) if found else "nothing here"


def _has_bundle(configuration: Configuration) -> bool:
    return (bundle_folder(configuration) / MANIFEST).is_file()
