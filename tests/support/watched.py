"""What Python itself says of a block of code: whether anything in it was executed, imported or unpickled."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_FORBIDDEN = ("os.", "subprocess.", "exec", "compile", "import", "pickle.", "socket.", "shutil.", "ctypes.", "code.")
_watching: list[str] | None = None


def _audit(event: str, _: object) -> None:
    if _watching is not None and event.startswith(_FORBIDDEN):
        _watching.append(event)


sys.addaudithook(_audit)


@contextmanager
def nothing_runs() -> Iterator[None]:
    """Nothing may be executed, imported or unpickled in the block."""
    global _watching
    _watching = []
    try:
        yield
        assert _watching == []
    finally:
        _watching = None
