"""Writing what changed between two reports, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aves_artifacts.base.messages import escaped
from aves_verify.report.difference import Change
from aves_verify.report.terminal import print_table

_PIPE_WIDTH = 160  # a pipe has no width; long names fold
_KINDS = {"gone": "gone", "new": "new", "status": "status", "magnitude": "size"}


def print_changes(changes: Sequence[Change], console: Console) -> None:
    """Print the changes as a table, and in one line what they come to."""
    if not console.is_terminal:
        console.width = max(console.width, _PIPE_WIDTH)
    if changes:
        table = Table(box=SIMPLE_HEAD, header_style="bold")
        table.pad_edge = False
        for heading in ("what", "where", "before", "after"):
            table.add_column(heading, overflow="fold")
        for change in changes:
            values = (
                (_short(change.before), _short(change.after))
                if change.kind == "file"
                else (change.before, change.after)
            )
            cells = (_KINDS.get(change.kind, change.kind), change.where, *values)
            table.add_row(*(Text(escaped(cell)) for cell in cells), style="bold red" if change.worse else "")
        print_table(console, table)
    worse = sum(change.worse for change in changes)
    if worse:
        console.print(Text(f"WORSE: {worse} of {len(changes)} changes; what passed fails or is gone", style="bold red"))
    elif changes:
        console.print(Text(f"{len(changes)} changes; whatever passed still passes", style="green"))
    else:
        console.print(Text("no change", style="green"))


def _short(digest: str) -> str:
    """A SHA-256 as people compare it; the JSON has all of it."""
    return f"{digest[:16]}…" if len(digest) > 16 else digest


def changes_as_json(changes: Sequence[Change]) -> str:
    """Write the changes as JSON, for programs."""
    document = {"worse": any(change.worse for change in changes), "changes": [asdict(change) for change in changes]}
    return json.dumps(document, indent=2) + "\n"
