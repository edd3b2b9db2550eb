"""What is wrong with an input, as a program and as a command line tell it."""

import pickle

import click
import pytest
from click.testing import CliRunner, Result

from aves_artifacts.base.command_line import Command, Group
from aves_artifacts.base.errors import DoesNotHoldError, InputError

ONE = InputError("a.onnx: already there", hint="give {force} to replace")
TWO = InputError("a.json: missing 'x'", "a.json: missing 'y'", hint="give {like} another, or leave it out")


def ended(error: Exception, *options: click.Option) -> Result:
    """How a command with these options ends on an error, in a group as in a program."""

    def fail(**_: object) -> None:
        raise error

    group = Group("program", commands={"work": Command("work", callback=fail, params=list(options))})
    return CliRunner().invoke(group, ["work"])


FORCE = click.Option(["--force"], is_flag=True)
LIKE = click.Option(["-l", "--the-like", "like"])


def test_a_program_reads_the_name_of_the_argument() -> None:
    assert str(ONE) == "a.onnx: already there; give `force` to replace"
    assert str(TWO).splitlines() == [*TWO.problems, "Hint: give `like` another, or leave it out"]


@pytest.mark.parametrize(
    ("error", "option", "lines"),
    [
        (ONE, FORCE, ["Error: a.onnx: already there; give --force to replace"]),
        (ONE, LIKE, ["Error: a.onnx: already there"]),  # nobody is told to give what this command does not have
        (TWO, FORCE, ["Error: a.json: missing 'x'", "Error: a.json: missing 'y'"]),
        (
            TWO,
            LIKE,
            [
                "Error: a.json: missing 'x'",
                "Error: a.json: missing 'y'",
                "Hint: give --the-like another, or leave it out",
            ],
        ),
    ],
)
def test_a_command_line_prints_a_line_for_each_problem_and_its_own_options(
    error: InputError, option: click.Option, lines: list[str]
) -> None:
    result = ended(error, option)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == lines


def test_lines_and_escapes_of_a_file_s_own_words_are_not_obeyed() -> None:
    result = ended(InputError("a\nb: \x1b[2J", "c"))
    assert result.stderr.splitlines() == ["Error: a b: \\x1b[2J", "Error: c"]


def test_braces_of_a_file_s_own_words_are_no_arguments() -> None:
    error = InputError("{force}.pt: no such file", hint="give {force} to replace")
    assert ended(error, FORCE).stderr == "Error: {force}.pt: no such file; give --force to replace\n"


def test_what_does_not_hold_is_a_line_each_and_status_1() -> None:
    result = ended(DoesNotHoldError("a is missing", "b changed"))
    assert (result.exit_code, result.stderr) == (1, "a is missing\nb changed\n")
    assert str(DoesNotHoldError("a is missing", "b changed")) == "a is missing\nb changed"


def test_errors_come_whole_out_of_other_processes() -> None:
    copied = pickle.loads(pickle.dumps(TWO))
    assert (copied.problems, copied.hint) == (TWO.problems, TWO.hint)
