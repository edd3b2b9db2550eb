"""What a conversion is asked for: where it reads, where it writes, under what terms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aves_artifacts.base.errors import InputError


@dataclass(frozen=True)
class Target:
    """Where results go: a folder, the configuration's name, and whether existing files are replaced."""

    folder: Path
    name: str
    force: bool = False

    def __post_init__(self) -> None:
        """Raise InputError for a name that is no plain file name."""
        if not self.name or Path(self.name).name != self.name or self.name.startswith("."):
            raise InputError(f"--name {self.name!r}: expected a plain file name such as aves-base-bio")
        if not self.name.isprintable():  # also what is no UTF-8, which neither ONNX nor JSON could hold
            raise InputError(f"the name {self.name!r} has characters that cannot be printed; give another with --name")


@dataclass(frozen=True)
class Terms:
    """Under what licence the weights are, as an SPDX identifier, and how their authors are cited; empty: not known."""

    licence: str = ""
    citation: str = ""

    def replaced(self, licence: str | None, citation: str | None) -> Terms:
        """The same but for what is given."""
        return Terms(self.licence if licence is None else licence, self.citation if citation is None else citation)
