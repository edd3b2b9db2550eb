"""The files in a folder at any depth, as people mean them who name the folder."""

from __future__ import annotations

import os
from pathlib import Path

_Identity = tuple[int, int]


def visible_files(folder: str | os.PathLike[str]) -> list[str]:
    """The names of all files below a folder, with slashes, sorted; what is hidden is left out.

    Links to folders are followed, after all that lies there itself, so that no folder comes twice whatever leads where.
    One that leads back to this folder, or to one around it, adds nothing. Raises OSError for a folder that cannot be
    read.
    """
    root = os.path.realpath(folder)
    seen = {_identity(parent) for parent in Path(root).parents}
    names: list[str] = []
    tops = [""]
    while tops:
        links: list[str] = []
        for top in tops:
            # os.walk calls itself for each level until Python 3.12, and there may be more than the stack has room for.
            folders = [top]
            while folders:
                below = folders.pop()
                place = os.path.join(root, below)
                if (identity := _identity(place)) in seen:
                    continue
                seen.add(identity)
                with os.scandir(place) as entries:
                    for entry in entries:
                        if entry.name.startswith("."):
                            continue
                        found = names if not _is_folder(entry) else links if entry.is_symlink() else folders
                        found.append(f"{below}/{entry.name}" if below else entry.name)
        tops = sorted(links)
    return sorted(names)


def _identity(folder: str | Path) -> _Identity:
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself: reading it tells
        return False
