"""What a user must know about a conversion beside its files: what was passed over, line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.weights.to_torchaudio import TorchaudioPort

Tell: TypeAlias = Callable[[str], None]  # takes one line


def silent(_line: str) -> None:
    """Tell nobody."""


def remarks(checkpoint: Checkpoint, converted: TorchaudioPort) -> Iterator[str]:
    """The lines for what was out of the ordinary in a conversion that succeeded; none for an ordinary one."""
    for entry in converted.architecture.unknown:
        yield f"{checkpoint.path}: passed over {entry} of the config, which is no entry of fairseq's"
