"""How a run ends that is stopped, or that comes upon a bug."""

import os
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
from aves_artifacts.files.writing import replacing
from aves_artifacts.base.command_line import Group

@click.group(cls=Group)
def main(): pass

@main.command()
def tell():
    click.echo("a line")

@main.command()
def say():
    from aves_artifacts.base.command_line import say
    say("a\\x1b[31mred\\nline")

@main.command()
def refuse():
    from aves_artifacts.base.errors import InputError
    raise InputError("x" * 100_000 + "\\x1b[31m; the way out")

@main.command()
def draw():
    from aves_artifacts.base.console import Output
    Output().print("a line")

@main.command()
def places():
    import sys
    with open("/dev/zero", "rb") as file:
        click.echo(f"{{file.fileno() > 2}} {{None not in (sys.stdin, sys.stdout, sys.stderr)}}")
    assert not sys.stderr.isatty() and file.closed
    click.echo("an error", err=True)
    if sys.stdin.read(): raise ValueError

@main.command()
def fill():
    open("/dev/full", "w").write("x" * 100_000)

@main.command()
def work():
    with replacing(Path({file!r})) as temporary:
        print("started", flush=True)
        if {fails}: raise ValueError("a bug")
        time.sleep({seconds})
        temporary.touch()

main({arguments})
"""


UNWRITTEN = "Error: cannot write: No space left on device; make room where the output goes\n"


def ran(*arguments: str, stdout: object = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """The command run to its end."""
    program = PROGRAM.format(file="x", fails=False, seconds=0, arguments=list(arguments))
    command = [sys.executable, "-c", program]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=20, check=False)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("arguments", [["tell"], ["--help"], ["tell", "--help"]], ids=" ".join)
def test_a_standard_output_that_is_full_is_one_line(
    arguments: list[str], unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with Path("/dev/full").open("w") as full:
        ended = ran(*arguments, stdout=full)
    assert (ended.returncode, ended.stderr) == (2, UNWRITTEN)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_what_is_closed_leads_nowhere(closed: tuple[int, ...]) -> None:
    """Files that are opened next would take its place, and get whatever is printed."""
    program = PROGRAM.format(file="x", fails=False, seconds=0, arguments=["places"])
    ended = subprocess.run(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        preexec_fn=lambda: [os.close(number) for number in closed],
    )
    assert ended.returncode == 0
    assert ended.stdout == ("" if 1 in closed else "True True\n")
    assert ended.stderr == ("" if 2 in closed else "an error\n")


@pytest.mark.parametrize("command", ["tell", "draw"])
def test_a_reader_that_went_away_ends_it_without_a_word(command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = ran(command, stdout=writing)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, "")


def test_a_full_disk_is_one_line() -> None:
    ended = ran("fill")
    assert (ended.returncode, ended.stderr) == (2, UNWRITTEN)


def test_a_line_has_its_control_characters_spelled_out() -> None:
    assert ran("say").stdout == "a\\x1b[31mred\\nline\n"


def test_a_very_long_line_keeps_its_beginning_and_its_end() -> None:
    (line,) = ran("refuse").stderr.splitlines()
    assert line.startswith("Error: xxx")
    assert line.endswith("xxx\\x1b[31m; the way out")
    assert len(line) < 2100


def start(
    file: Path, *, fails: bool = False, seconds: float = 30, before: Callable[[], object] | None = None
) -> subprocess.Popen[str]:
    """A command that works for so long on a file; ``before`` is called in its process."""
    program = textwrap.dedent(PROGRAM).format(file=str(file), fails=fails, seconds=seconds, arguments=["work"])
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


@pytest.mark.slow
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
