"""The published configurations, as ``catalog.toml`` describes them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from aves_artifacts.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Configuration:
    """One published encoder."""

    name: str
    file_name: str  # stem of its files, e.g. aves-base-bio
    pretraining: str  # data
    hours: int  # of audio in pretraining
    dimension: int  # of an embedding
    near_zero_drift: str = ""  # a peculiarity that its authors report


def catalog() -> dict[str, Configuration]:
    """Every configuration by name, in the catalogue's order."""
    text = resources.files("aves_artifacts").joinpath("catalog.toml").read_text(encoding="utf-8")
    entries = tomllib.loads(text)
    return {name: Configuration(name, **entry) for name, entry in entries.items()}


def configurations(names: Sequence[str]) -> list[Configuration]:
    """The configurations of these names. Raises InputError for a name that the catalogue does not have."""
    known = catalog()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"unknown configuration {', '.join(unknown)}; the catalogue has {', '.join(known)}")
    return [known[name] for name in names]
