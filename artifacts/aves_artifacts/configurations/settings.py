"""Settings in environment variables."""

from __future__ import annotations

import os
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of


def path_in(variable: str) -> Path | None:
    """The path that a variable holds; None where it is empty or not set. Raises InputError for ``~nobody/…``."""
    chosen = os.environ.get(variable)
    try:
        return Path(chosen).expanduser() if chosen else None
    except RuntimeError as error:
        raise InputError(f"${variable} is {chosen}: {reason_of(error)}; give the whole path") from None
