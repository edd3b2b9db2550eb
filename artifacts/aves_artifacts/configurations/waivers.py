"""Failures that the catalogue excuses by name and with a reason: a configuration is published in spite of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from aves_artifacts.base.messages import printable, quoted


@dataclass(frozen=True)
class Waiver:
    """Comparisons that may fail without keeping a configuration from being published."""

    backend: str
    reason: str
    clip: str = ""  # empty: every input
    layer: str = ""  # empty: every layer

    def covers(self, backend: str, clip: str, layer: str) -> bool:
        """Whether this is a comparison that may fail."""
        return self.backend == backend and self.clip in ("", clip) and self.layer in ("", layer)


def waivers_of(entries: list[dict[str, Any]]) -> tuple[Waiver, ...]:
    """Make the waivers from entries in which ``waiver_problems`` finds nothing wrong."""
    return tuple(Waiver(**entry) for entry in entries)


def waiver_problems(entries: object) -> Iterator[str]:
    """Tell every reason why these entries are no list of waivers."""
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        yield "waivers is no list of tables, [[NAME.waivers]]"
        return
    known = [f.name for f in fields(Waiver)]
    for entry in entries:
        for key, value in entry.items():
            if key not in known:
                yield f"waivers: unknown entry {quoted(key)}, expected {', '.join(known)}"
            if type(value) is not str:
                yield f"waivers: {printable(key)} is {quoted(value)}, expected text"
        if entry.get("backend") not in ("torchaudio", "onnx"):
            yield f"waivers: backend is {quoted(entry.get('backend'))}, expected torchaudio or onnx"
        if not str(entry.get("reason", "")).strip():
            yield "waivers: one has no reason; whoever waives says why"
