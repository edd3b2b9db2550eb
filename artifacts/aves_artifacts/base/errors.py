"""The two errors that a user can mend, the lines that tell of them, and what ends a process from outside."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from aves_artifacts.base.messages import first_of

_ARGUMENT = re.compile(r"\{(\w+)\}")
MOST_TOLD = 20  # problems of one kind told one by one; the rest is counted


class InputError(Exception):
    """Bad input, told in one line for each problem: where, what, what was expected, what to do.

    Each of ``problems`` is understood without the others. ``hint`` is what to give instead, with the arguments in
    braces: from ``give {force} to replace`` a command makes its own option, and ``str`` the argument's name.
    Commands print the lines and exit with status 2; anything else that escapes is a bug of ours.

    >>> print(InputError("a.onnx: already there", hint="give {force} to replace"))
    a.onnx: already there; give `force` to replace
    """

    def __init__(self, *problems: str, hint: str = "") -> None:
        super().__init__(*problems)
        self.problems = problems
        self.hint = hint

    def __str__(self) -> str:
        return "\n".join(self.lines(lambda argument: f"`{argument}`"))

    def lines(self, name: Callable[[str], str | None]) -> tuple[str, ...]:
        """The lines to print: the problems, and the hint with each argument as ``name`` words it.

        A hint is part of the line of a single problem; after several it is a line of its own.
        """
        names = {argument: name(argument) for argument in _ARGUMENT.findall(self.hint)}
        if not self.hint or None in names.values():
            return self.problems
        hint = _ARGUMENT.sub(lambda found: str(names[found[1]]), self.hint)
        return (f"{self.problems[0]}; {hint}",) if len(self.problems) == 1 else (*self.problems, f"Hint: {hint}")


class DoesNotHoldError(Exception):
    """Something was checked and is not as it should be; ``problems`` has one line for each thing.

    Commands print the lines and exit with status 1.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class TerminatedError(SystemExit):
    """The system asked this process to end, as SIGTERM does. Whoever takes SystemExit for a failure raises this on."""


def raise_if_any(problems: Sequence[str], what: str, *, hint: str = "") -> None:
    """Raise InputError where there are problems: a line for each, which begins with ``what`` they mean."""
    if problems:
        raise InputError(*(f"{what}: {problem}" for problem in first_of(problems, MOST_TOLD)), hint=hint)
