"""Naming recordings for people: by as much of the end of a path as tells one from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

PADDED = ", zero-padded"  # after the name of the clip that was padded


def short_names(names: Collection[str]) -> Callable[[str], str]:
    """Make a function that shortens each of ``names`` to the shortest end of its path that none of the others has.

    Two different names stay different. What is no path, such as a reference signal's name, stays as it is.

    >>> short = short_names(["sea/dawn/seal.wav", "sea/dusk/seal.wav", "sea/dusk/gull.wav", "chirp"])
    >>> short("sea/dawn/seal.wav"), short("sea/dusk/gull.wav"), short("chirp")
    ('dawn/seal.wav', 'gull.wav', 'chirp')
    """
    clips = {name.removesuffix(PADDED) for name in names}
    counts = Counter(end for clip in clips for end in _ends(clip))
    short = {clip: next((end for end in _ends(clip) if counts[end] == 1), clip) for clip in clips}

    def shortened(name: str) -> str:
        clip = name.removesuffix(PADDED)
        return short.get(clip, clip) + name[len(clip) :]

    return shortened


def _ends(path: str) -> list[str]:
    """Its last part, its last two, and so on to the whole."""
    parts = path.split("/")
    return ["/".join(parts[first:]) for first in reversed(range(len(parts)))]
