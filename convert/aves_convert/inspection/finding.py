"""The result of an inspection, as lines for people and as JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aves_artifacts.base.messages import one_line, printable

_MAX_LINE = 1000  # characters of one line for people


@dataclass(frozen=True)
class Inspection:
    """What a file is. ``facts`` are plain JSON values; ``next`` is the command to go on with.

    ``problems`` are why the tools cannot use the file, none where they can.
    """

    path: Path
    kind: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    next: str | None = None
    problems: tuple[str, ...] = ()

    def to_json(self) -> str:
        """What was found as JSON, for programs; text from the file is escaped."""
        return json.dumps(
            {
                "path": str(self.path),
                "kind": self.kind,
                "usable": not self.problems,
                "facts": self.facts,
                "next": self.next,
                "problem": "; ".join(self.problems) or None,
                "problems": self.problems,
            },
            indent=2,
        )

    def to_text(self) -> str:
        """What was found as lines for people: what it is, one line for each fact, the next command."""
        width = max((len(name) for name in self.facts), default=0) + 2
        rows = [one_line(f"{self.path}: {self.kind}")]
        for name, value in self.facts.items():
            for index, line in enumerate(_lines(value)):
                label = name.replace("_", " ") if index == 0 else ""
                rows.append(f"  {label:<{width}}{printable(line, _MAX_LINE)}")
        return "\n".join([*rows, *([one_line(f"next: {self.next}")] if self.next else [])])


def _lines(value: object) -> Iterator[str]:
    """The lines for one fact: lists and numbers by name on one line, sentences by name on one line each."""
    if isinstance(value, Mapping):
        if all(type(item) is int for item in value.values()):
            yield ", ".join(f"{name} {item:,}" for name, item in value.items()) or "none"
        else:
            yield from (f"{name}: {_word(item)}" for name, item in value.items())
    elif isinstance(value, list | tuple):
        yield ", ".join(map(str, value)) or "none"
    else:
        yield _word(value)


def _word(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:,}" if isinstance(value, int) else str(value)


def sibling(path: Path, ending: str, other: str) -> Path | None:
    """Find the file beside ``path`` with ``other`` in the place of ``ending``; None where there is none."""
    if not path.name.endswith(ending):
        return None
    beside = path.with_name(path.name.removesuffix(ending) + other)
    return beside if beside.is_file() else None


def shell_command(*words: object) -> str:
    """Write a command so that a shell and click take it: a path that begins with a dash is no option."""
    return shlex.join(f"./{word}" if isinstance(word, Path) and str(word)[0] == "-" else str(word) for word in words)
