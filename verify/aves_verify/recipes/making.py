"""Making parts: whatever is in one, it is made of a shard alone and written whole, and what is there stays."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from aves_artifacts.files.address import Address, open_address
from aves_verify.parts.writing import is_whole, write_part


@dataclass(frozen=True)
class Made:
    """The bytes of a part, and numbers of what it took that are added up, such as ``windows``."""

    content: bytes = field(repr=False)
    numbers: Mapping[str, float]


class Maker(Protocol):
    """What a process has loaded to make parts."""

    def make(self, spec: Any) -> Made:
        """Make a part of a shard, or of what else its task says. Raises InputError."""


class Recipe(Protocol):
    """What parts are made by. It is pickled: a frozen dataclass in a module that workers import too."""

    @property
    def key(self) -> str:
        """What it is: two of one key make the same parts."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Local files that are read, which workers on other machines need."""

    def open(self, files: Mapping[Path, Path]) -> Maker:
        """Load what is needed, once in each process. ``files``: where each of ``self.files`` lies here."""


@dataclass(frozen=True)
class PartJob:
    """A recipe, and the address that its parts go to: the job that drivers do.

    ``run``: the digest of what is in the parts. A worker of a cluster outlives a run, and must not do the next one, of
    other files, with what it has loaded.
    """

    recipe: Recipe
    parts: str
    run: str = ""

    @property
    def key(self) -> str:
        """What it is, and where it writes."""
        return f"{self.recipe.key} {self.run} {self.parts}"

    @property
    def files(self) -> tuple[Path, ...]:
        """See ``Recipe.files``."""
        return self.recipe.files

    def open(self, files: Mapping[Path, Path]) -> PartWorker:
        """Open the recipe and the address."""
        return PartWorker(self.recipe.open(files), open_address(self.parts))


@dataclass(frozen=True)
class PartWorker:
    """A process that makes parts."""

    maker: Maker
    parts: Address

    def do(self, spec: tuple[str, Any]) -> Mapping[str, float]:
        """Make the part of this name and write it, unless another process has done that meanwhile."""
        name, given = spec
        if is_whole(self.parts, name):
            return {}
        began = time.perf_counter()
        made = self.maker.make(given)
        write_part(self.parts, name, made.content)
        return {**made.numbers, "seconds": time.perf_counter() - began}
