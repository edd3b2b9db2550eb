"""Making parts: whatever is in one, it is made of a shard alone and written whole, and what is there stays."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.process import ends
from aves_artifacts.files.address import Address, open_address
from aves_verify.parts.writing import is_whole, write_part

_TRIES = 3
_KILLED = (
    "the process of an encoder was killed while it was at work, by somebody or by the system, where memory runs out; "
    "give it more memory, or fewer workers"
)


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
    anew: frozenset[str] = frozenset()  # parts that are there, and are to be made all the same

    @property
    def key(self) -> str:
        """What it is, and where it writes."""
        return " ".join((self.recipe.key, self.run, self.parts, *sorted(self.anew)))

    @property
    def files(self) -> tuple[Path, ...]:
        """See ``Recipe.files``."""
        return self.recipe.files

    def open(self, files: Mapping[Path, Path]) -> PartWorker:
        """Open the recipe and the address."""
        return PartWorker(self, files, open_address(self.parts), _opened(self.recipe, files))


@dataclass
class PartWorker:
    """A process that makes parts. ``maker``: None once something of it has ended, until the next part."""

    job: PartJob
    files: Mapping[Path, Path]
    parts: Address
    maker: Maker | None

    def do(self, spec: tuple[str, Any]) -> Mapping[str, float]:
        """Make the part of this name and write it, unless another process has done that meanwhile."""
        name, given = spec
        if name not in self.job.anew and is_whole(self.parts, name):
            return {}
        began = time.perf_counter()
        made = self._made(given)
        write_part(self.parts, name, made.content)
        return {**made.numbers, "seconds": time.perf_counter() - began}

    def _made(self, given: Any) -> Made:
        """Make a part. Raises InputError where an encoder's process was killed, which says nothing of the encoder.

        Where one ended, all are loaded anew for the next part: that is to be the same whatever was made before.
        """
        maker = self.maker or _opened(self.job.recipe, self.files)
        before = ends()
        try:
            made = maker.make(given)
        finally:
            self.maker = maker if ends() == before else None
        if ends().killed > before.killed:
            raise InputError(_KILLED)
        return made


def _opened(recipe: Recipe, files: Mapping[Path, Path]) -> Maker:
    """Open a recipe, again where a process of an encoder was killed meanwhile. Raises InputError."""
    for left in reversed(range(_TRIES)):
        before = ends().killed
        try:
            maker = recipe.open(files)
        except InputError:
            if left == 0 or ends().killed == before:
                raise
        else:
            if ends().killed == before:
                return maker
    raise InputError(_KILLED)
