"""Keeping what Dask logs off the terminal: whatever matters of it is told in the run's own words."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager

# Those with a level of their own in Dask's defaults; the others follow them.
_LOGGERS = (
    "distributed",
    "distributed.client",
    "distributed.gc",
    "dask",
    "tornado",
    "tornado.application",
    "asyncio",
)


@contextmanager
def silent() -> Iterator[None]:
    """Have these libraries log nothing while the block runs."""
    before = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in before:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        gc.collect()  # what was given up unfinished complains when it is collected
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
