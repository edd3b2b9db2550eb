"""Where downloads, and bundles made of them, lie on this machine."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_path

from aves_artifacts.bundle.manifest import FILE_NAMES
from aves_artifacts.configurations.catalog import Configuration, PublishedRole
from aves_artifacts.configurations.settings import path_in


def store() -> Path:
    """The folder for downloads: ``$AVES_HOME``, by default a folder in the system's cache."""
    return path_in("AVES_HOME") or user_cache_path("aves", appauthor=False)


def place(configuration: Configuration, role: PublishedRole) -> Path:
    """The path at which a published file lies once it is fetched.

    Published ports have a folder of their own: those made here have the same names.
    """
    folder = store() / configuration.file_name
    if role == "original":
        return folder / f"{configuration.file_name}.pt"
    return folder / "published" / FILE_NAMES[role].format(name=configuration.file_name)


def bundle_folder(configuration: Configuration) -> Path:
    """The folder of the bundle that is made here from a configuration's original."""
    return store() / configuration.file_name / "bundle"


def part_of(path: Path) -> Path:
    """The path of an unfinished download of this file."""
    return path.with_name(path.name + ".part")
