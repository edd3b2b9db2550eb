"""The one exception for what a user can mend."""


class InputError(Exception):
    """Bad input, told in one line: what, where, what was expected, what to do.

    Commands print the message and exit with status 2; anything else that escapes is a bug of ours.
    """
