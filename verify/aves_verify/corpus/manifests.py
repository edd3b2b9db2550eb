"""Manifests: files that name recordings, or segments of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Segment:
    """What a manifest names: a recording's name and address, and the seconds of it that are meant."""

    name: str
    address: str
    begin: float = 0.0
    duration: float | None = None


def is_manifest(address: str) -> bool:
    """Whether a file is a manifest, by its extension or else by what it begins with."""
    del address
    return False


def read_manifest(address: str) -> Sequence[Segment]:
    """Read the segments that a manifest names. Raises InputError."""
    raise NotImplementedError(address)
