"""Reading settings from environment variables."""

from __future__ import annotations

import os
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of


def path_in(variable: str) -> Path | None:
    """Read a path from an environment variable; None where it is not set. Raises InputError for ``~nobody/…``."""
    chosen = os.environ.get(variable)
    try:
        return Path(chosen).expanduser() if chosen else None
    except RuntimeError as error:
        raise InputError(f"${variable} is {chosen}: {reason_of(error)}; give the whole path") from None
