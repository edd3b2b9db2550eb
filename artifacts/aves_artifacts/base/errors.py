"""The exceptions for what is not a bug of ours, and the line that tells of them."""


class InputError(Exception):
    """Bad input, told in one line: what, where, what was expected, what to do.

    Commands print the message and exit with status 2; anything else that escapes is a bug of ours.
    """


class DoesNotHoldError(Exception):
    """Something was verified and does not hold. Commands print the problems, one in a line, and exit with status 1."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
