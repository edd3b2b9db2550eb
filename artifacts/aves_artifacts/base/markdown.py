"""Text from outside in Markdown, with no markup taking effect."""

from __future__ import annotations

import re


def plain(text: str) -> str:
    """Text in which no markup takes effect."""
    return re.sub(r"([\\`*_<>\[\]|])", r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """A code span in a table or a sentence."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{text.replace('|', chr(92) + '|')}{fence}"
