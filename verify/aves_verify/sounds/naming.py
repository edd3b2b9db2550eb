"""Naming recordings for people: by as much of the end of a path as tells one from the others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection

PADDED = ", zero-padded"  # after the name of the clip that was padded
_AFTER = re.compile(rf"(?: @ [0-9.,]+ s)?(?:{re.escape(PADDED)})?$")  # a window's start, and that it was padded


def short_names(names: Collection[str]) -> Callable[[str], str]:
    """Make a function that shortens each of ``names`` to the shortest end of its path that none of the others has.

    Two different names stay different. What is no path, such as a reference signal's name, stays as it is. A window is
    named by its recording, which all windows of it share, and where it starts.

    >>> short = short_names(["sea/dawn/seal.wav", "sea/dusk/seal.wav", "sea/dusk/gull.wav", "chirp"])
    >>> short("sea/dawn/seal.wav"), short("sea/dusk/gull.wav"), short("chirp")
    ('dawn/seal.wav', 'gull.wav', 'chirp')
    >>> short = short_names(["sea/dawn/seal.wav @ 30 s", "sea/dusk/seal.wav @ 0 s", "sea/dusk/gull.wav @ 0 s"])
    >>> short("sea/dawn/seal.wav @ 30 s"), short("sea/dusk/gull.wav @ 0 s")
    ('dawn/seal.wav @ 30 s', 'gull.wav @ 0 s')
    """
    clips = {_recording(name) for name in names}
    counts = Counter(end for clip in clips for end in _ends(clip))
    short = {clip: next((end for end in _ends(clip) if counts[end] == 1), clip) for clip in clips}

    def shortened(name: str) -> str:
        clip = _recording(name)
        return short.get(clip, clip) + name[len(clip) :]

    return shortened


def _recording(name: str) -> str:
    return _AFTER.sub("", name)


def _ends(path: str) -> list[str]:
    """Its last part, its last two, and so on to the whole."""
    parts = path.split("/")
    return ["/".join(parts[first:]) for first in reversed(range(len(parts)))]
