"""Where bundles and downloads live on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def store() -> Path:
    """The local store: ``$AVES_HOME``, by default the platform's cache folder."""
    chosen = os.environ.get("AVES_HOME")
    return Path(chosen).expanduser() if chosen else user_cache_path("aves", appauthor=False)
