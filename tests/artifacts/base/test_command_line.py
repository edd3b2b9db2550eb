"""How a run ends that is stopped, or that comes upon a bug."""

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = """
import time
from pathlib import Path
import click
from aves_artifacts.base.files import replacing
from aves_artifacts.base.command_line import Group

@click.group(cls=Group)
def main(): pass

@main.command()
def work():
    with replacing(Path({file!r})) as temporary:
        print("started", flush=True)
        if {fails}: raise ValueError("a bug")
        time.sleep({seconds})
        temporary.touch()

main(["work"])
"""


def start(
    file: Path, *, fails: bool = False, seconds: float = 30, before: Callable[[], object] | None = None
) -> subprocess.Popen[str]:
    """A command that works for so long on a file; ``before`` is called in its process."""
    program = textwrap.dedent(PROGRAM).format(file=str(file), fails=fails, seconds=seconds)
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )


def stop(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send the signal once the command is at work; what it wrote to the error stream in the end."""
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    time.sleep(0.2)
    process.send_signal(number)
    return process.communicate(timeout=20)[1]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_cleans_up_and_says_so(tmp_path: Path, number: signal.Signals, status: int) -> None:
    process = start(tmp_path / "x")
    errors = stop(process, number)
    assert process.returncode == status
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


def test_who_has_ctrl_c_ignored_is_not_stopped_by_it(tmp_path: Path) -> None:
    """As nohup does, and a shell of what it starts in the background."""
    process = start(tmp_path / "x", seconds=1, before=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert stop(process, signal.SIGINT) == ""
    assert process.returncode == 0
    assert (tmp_path / "x").exists()


def test_a_bug_is_no_verdict(tmp_path: Path) -> None:
    process = start(tmp_path / "x", fails=True)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 70
    assert "ValueError: a bug" in errors
