"""Small damage to files: bits, numbers, pieces that are cut out, doubled, or come from another file."""

from __future__ import annotations

import random
from collections.abc import Sequence

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
_WORDS = (b"[" * 2000, b"{" * 2000, b"9" * 5000, b'"' * 3, b"\x1b[2J", b"\xed\xa0\x80", b"\0", b"NaN", b"-1", b"1e999",
          b"null", b"true", b"../", b"/dev/zero", b"a." * 100, b"\r\n", b"\xef\xbb\xbf", b"http://[::1")  # fmt: skip
_MOST = 200_000  # bytes; a larger file takes its time without showing more


def damaged(draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with one to eight things done to it."""
    content = bytearray(draw.choice(seeds))
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        at = draw.randrange(len(content) + 1)
        length = draw.choice((1, 2, 4, 8, 16, draw.randrange(1, 200)))
        what = draw.randrange(8)
        if what == 0 and at < len(content):
            content[at] ^= 1 << draw.randrange(8)
        elif what == 1:
            number, size = draw.choice(_NUMBERS), draw.choice((1, 2, 4, 8))
            order = draw.choice(("little", "big"))
            content[at : at + size] = (number % (1 << 8 * size)).to_bytes(size, order)  # type: ignore[arg-type]
        elif what == 2:
            del content[at : at + length]
        elif what == 3:
            piece = content[at : at + length]
            content[at:at] = piece * draw.choice((1, 1, 2, 50))
        elif what == 4:
            other = draw.choice(seeds)
            start = draw.randrange(len(other) + 1)
            content[at : at + draw.choice((0, length))] = other[start : start + length]
        elif what == 5:
            content[at:at] = draw.choice(_WORDS)
        elif what == 6 and draw.random() < 0.3:
            del content[at:]
        else:
            content[at : at + length] = draw.randbytes(length)
    return bytes(content[:_MOST])
