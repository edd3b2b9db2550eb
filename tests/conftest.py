"""What all tests share."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A machine that does other work as well makes single examples slow, which is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """Ctrl-C reaches the tests and all they start, also in a background job, whose shell has it ignored.

    Programs inherit that, and ours keep to it, as whoever starts them with nohup expects.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
