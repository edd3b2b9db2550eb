"""What the processes of a run hold while it makes its parts."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_BEAT = 0.5  # seconds between two looks


@dataclass
class Watched:
    """What the processes of a run held in MiB, by how many parts there were: the largest of them each time."""

    parts: Path
    seen: list[tuple[int, float]] = field(default_factory=list)

    def within(self, shares: tuple[float, float]) -> float | None:
        """The most while so large a share of the parts was there."""
        most = max((parts for parts, _ in self.seen), default=0)
        found = [mib for parts, mib in self.seen if shares[0] * most <= parts <= shares[1] * most]
        return max(found, default=None)

    @contextmanager
    def looking(self, root: int) -> Iterator[None]:
        """Look at the process ``root`` and all below it while the block runs."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(_BEAT):
                count = sum(1 for _ in self.parts.glob("[!.]*.parquet"))
                self.seen.append((count, max((_resident_mib(pid) for pid in _below(root)), default=0.0)))

        looking = threading.Thread(target=look)
        looking.start()
        try:
            yield
        finally:
            over.set()
            looking.join()


def _below(root: int) -> list[int]:
    """A process and all that it and those below it have started, by what the system tells of each one's parent."""
    parents = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (status := _read(f"/proc/{entry.name}/stat")):
            parents[int(entry.name)] = int(status.rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found


def _resident_mib(pid: int) -> float:
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if fields else 0.0


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:  # it has ended
        return ""
