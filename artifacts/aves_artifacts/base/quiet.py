"""Dropping what libraries in C write on standard error by themselves, beside the one line that a command has for it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2
_turn = threading.RLock()  # the descriptor is the whole process's


@contextmanager
def quiet() -> Iterator[None]:
    """Have nothing reach standard error while the block runs, also where it was closed before."""
    with _turn:
        kept = None
        with contextlib.suppress(OSError):  # closed: then libraries must not write into what is opened next
            kept = os.dup(_STDERR)
        nothing = os.open(os.devnull, os.O_WRONLY)
        if nothing != _STDERR:
            os.dup2(nothing, _STDERR)
            os.close(nothing)
        try:
            yield
        finally:
            if kept is None:
                os.close(_STDERR)
            else:
                os.dup2(kept, _STDERR)
                os.close(kept)
