"""The options of every command, as a newcomer meets them in ``--help``."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from aves_artifacts import cli as artifacts
from aves_convert import cli as convert
from aves_verify import cli as verify

PROGRAMS = {"aves-artifacts": artifacts.main, "aves-convert": convert.main, "aves-verify": verify.main}
COMMANDS = [
    pytest.param(command, id=f"{program} {name}")
    for program, group in PROGRAMS.items()
    for name, command in group.commands.items()
]
# An option that two commands have under one name and with two meanings.
OTHER_MEANINGS = {"--json": 2}  # a flag that prints, and the file of a report


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_does_and_what_its_default_means(command: click.Command) -> None:
    for option in command.params:
        if not isinstance(option, click.Option):
            continue
        told = option.help or ""
        assert re.match(r"[A-Z].{20,}[.\]]$", told), f"{option.opts}: {told!r}"
        default = option.required or option.show_default or re.search(r"[Bb]y default|\[default: ", told)
        assert default, f"{option.opts} does not say what holds without it"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_fits_into_the_list_of_commands(command: click.Command) -> None:
    """click cuts what is longer, in the middle of a sentence."""
    assert command.hidden or not command.get_short_help_str(limit=56).endswith("...")
    assert command.help is not None


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_program_itself_says_what_it_is_for(program: str) -> None:
    assert PROGRAMS[program].help


def written() -> Iterator[str]:
    """Each option of the three programs, as often as its name is written in their code."""
    for module in (artifacts, convert, verify):
        package = Path(module.__file__ or "").parent
        for path in (package.parent if package.name == "cli" else package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "click.option":
                    names = [a.value for a in node.args if isinstance(a, ast.Constant)]
                    yield from (name for name in names if str(name).startswith("--"))


def test_every_option_is_written_once() -> None:
    counts = Counter(written())
    assert {name: count for name, count in counts.items() if count > 1} == OTHER_MEANINGS
    there = {o for c in COMMANDS for p in c.values[0].params if isinstance(p, click.Option) for o in p.opts}
    assert set(counts) == {name for name in there if name.startswith("--")}
