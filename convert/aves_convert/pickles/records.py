"""What stands in an inert pickle for classes, functions and objects, and how messages speak of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from aves_artifacts.base.messages import printable, quoted


@dataclass(frozen=True)
class Global:
    """The name of a class or function in a stream; it is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return printable(f"{self.module}.{self.name}")


@dataclass(eq=False, slots=True, repr=False)
class Record:
    """An object that was not made: what would have been called, with what, and what would have been put into it.

    ``state`` is the argument of BUILD (of ``__setstate__``), ``items`` and ``values`` those of SETITEM and APPEND.
    """

    global_: Global
    args: tuple[object, ...] = ()
    kwargs: dict[object, object] | None = None
    state: object = None
    items: list[tuple[object, object]] | None = None
    values: list[object] | None = None

    def __repr__(self) -> str:
        return f"<record of {self.global_}>"  # the content may be deep, huge or contain itself


@dataclass(frozen=True, eq=False)
class Call:
    """One call that a pickle asks for: what, with which arguments, and at which byte.

    ``gives_command``: it is called, not only made by ``__new__``, and given what reads as a command line.
    """

    global_: Global
    args: tuple[object, ...]
    kwargs: dict[object, object] | None
    position: int
    gives_command: bool = False

    def __str__(self) -> str:
        """The call as Python would write it, cut short: ``posix.system('id')``."""
        shown = [preview(argument) for argument in self.args[:4]]
        shown += [f"{key}={preview(value)}" for key, value in self._keywords()]
        omitted = ", ..." if len(self.args) > 4 or len(self.kwargs or ()) > 4 else ""
        return printable(f"{self.global_}({', '.join(shown)}{omitted})", 200)

    def _keywords(self) -> list[tuple[str, object]]:
        named = islice((self.kwargs or {}).items(), 4)
        return [(printable(key) if isinstance(key, str) else preview(key), value) for key, value in named]


def preview(value: object) -> str:
    """Describe a value of a pickle in a few words, for a message."""
    if type(value) is Global:
        return str(value)
    return f"{value.global_}(...)" if type(value) is Record else quoted(value)
