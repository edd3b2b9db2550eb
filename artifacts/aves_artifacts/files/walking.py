"""The files in a folder at any depth, as people mean them who name the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator


def visible_files(folder: str | os.PathLike[str]) -> list[str]:
    """The names of all files below a folder, with slashes, sorted; what is hidden is left out.

    Links to folders are followed, after all that lies there itself, so that no folder comes twice whatever leads where.
    One that leads back to this folder, or to one around it, adds nothing. Raises OSError for a folder that cannot be
    read.
    """
    root = os.path.realpath(folder)
    seen: set[str] = set()
    names: list[str] = []
    tops = [root]
    while tops:
        links: list[str] = []
        for parent, folders, files in (found for top in tops for found in _walked(top, seen)):
            links += [path for name in folders if os.path.islink(path := os.path.join(parent, name))]
            below = os.path.relpath(parent, root).replace(os.sep, "/")
            names += [name if below == "." else f"{below}/{name}" for name in files if not name.startswith(".")]
        tops = sorted(path for path in links if not _is_around(os.path.realpath(path), root))
    return sorted(names)


def _walked(top: str, seen: set[str]) -> Iterator[tuple[str, list[str], list[str]]]:
    """What ``os.walk`` gives, but for what is hidden, and for folders that were ``seen`` under another name."""

    def fail(error: OSError) -> None:
        raise error

    for parent, folders, files in os.walk(top, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield parent, folders, files


def _is_around(folder: str, root: str) -> bool:
    return f"{root}{os.sep}".startswith(f"{folder.rstrip(os.sep)}{os.sep}")
