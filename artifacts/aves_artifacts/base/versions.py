"""Finding the versions of installed packages, from their metadata and without importing them."""

from __future__ import annotations

import importlib.metadata

PACKAGE = "aves-ports"  # what the three packages are installed as


def own_version() -> str:
    """The version of this tool that is installed."""
    return importlib.metadata.version(PACKAGE)


def version_of(package: str) -> str | None:
    """The version of a package; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
