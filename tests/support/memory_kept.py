"""Memory that a process does not give back."""

_kept: list[bytearray] = []


def keep(size: int) -> None:
    """Take so many bytes, and hold them."""
    _kept.append(bytearray(b"x") * size)
