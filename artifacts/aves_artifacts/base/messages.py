"""How things are said in messages: sizes, addresses, text from files made printable."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def shown(address: str) -> str:
    """An address as it may be printed and committed: without a password, and without a query, which may be signed."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def size_text(size: int) -> str:
    """A file's size as people say it, e.g. 378 MB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} B"


def one_line(message: str) -> str:
    """The message without line breaks, and without characters that steer a terminal: parts of it come from outside."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(map(str.strip, message.splitlines())))


def printable(text: str, limit: int = 120) -> str:
    """``text`` for a message: one line, no control characters, cut short."""
    cut = text[: limit + 1]
    shown = cut if cut.isascii() and cut.isprintable() else ascii(cut)
    return shown if len(shown) <= limit else shown[:limit] + "..."
