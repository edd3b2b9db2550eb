"""What C code writes on standard error is dropped, and only while it is asked for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from aves_artifacts.base.quiet import quiet


def test_nothing_in_the_block_is_heard(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before ")
    with quiet(), quiet():
        os.write(2, b"inside ")
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


def test_the_descriptor_is_as_it_was_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), quiet():
        raise ZeroDivisionError
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_standard_error_that_is_closed() -> None:
    program = """
import os
from aves_artifacts.base.quiet import quiet
os.close(2)
with quiet():
    os.write(2, b"nothing")
try:
    os.fstat(2)
except OSError:
    print("closed")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "closed\n"
