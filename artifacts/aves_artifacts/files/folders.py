"""Looking through folders of any depth."""

from __future__ import annotations

import os
from collections.abc import Iterator


def visible_files(folder: str) -> Iterator[str]:
    """The paths below a folder of all that is no folder, in no order; what is hidden is left out. Raises OSError.

    Links to folders are not followed. os.walk calls itself for each level until Python 3.12, and there may be more of
    them than the stack has room for.
    """
    folders = [""]
    while folders:
        below = folders.pop()
        with os.scandir(os.path.join(folder, below)) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                path = os.path.join(below, entry.name)
                if not _is_folder(entry):
                    yield path
                elif not entry.is_symlink():
                    folders.append(path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself: reading it tells
        return False
