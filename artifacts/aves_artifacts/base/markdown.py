"""Putting text from outside into Markdown without any of it becoming markup."""

from __future__ import annotations

import re

from aves_artifacts.base.messages import escaped


def without_markup(text: str) -> str:
    """Escape a text so that Markdown shows it as it is."""
    return re.sub(r"([\\`*_<>\[\]|])", r"\\\1", " ".join(text.split()))


def code(text: str, *, cell: bool = False) -> str:
    """Put any text into a code span; in a table's ``cell`` a pipe is escaped even there."""
    shown = escaped(text) or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    if shown.startswith("`") or shown.endswith("`"):
        shown = f" {shown} "  # one space on either side is no part of the span
    return f"{fence}{shown.replace('|', chr(92) + '|') if cell else shown}{fence}"
