"""The options of every command, as a newcomer meets them in ``--help``."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from aves_artifacts import cli as artifacts
from aves_convert import cli as convert
from aves_verify import cli as verify

PROGRAMS = {"aves-artifacts": artifacts.main, "aves-convert": convert.main, "aves-verify": verify.main}


def commands(group: click.Group, name: str) -> Iterator[Any]:
    """Every command of a group, and of the groups in it."""
    for called, command in group.commands.items():
        yield pytest.param(command, id=f"{name} {called}")
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {called}")


COMMANDS = [each for program, group in PROGRAMS.items() for each in commands(group, program)]
# Options that commands have under one name and with two meanings.
OTHER_MEANINGS = {
    "--json": 2,  # a flag that prints, and the file of a report
    "--explain": 2,  # where a port's error begins, and what a search came to
    "--seed": 2,  # of made-up weights, and of drawn inputs
    "--heads": 3,  # flags that write them beside weights and into them, and the file that has them
    "--audio": 2,  # paths, and addresses of whole corpora
    "--parts": 2,  # where they are made, and where they are read
    "--reference": 2,  # a file, and the parts of a corpus
    "--geometry": 2,  # the size of made-up weights, and the published one of weights without settings
}


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


# What inspect and doctor tell are commands to be typed; selection is what options select.
OF_THE_COMMAND_LINE = ("cli", "cli.py", "options.py", "inspection", "doctor")


def library() -> Iterator[ast.Module]:
    for module in (artifacts, convert, verify):
        package = Path(module.__file__ or "").parent
        package = package.parent if package.name == "cli" else package
        for path in package.rglob("*.py"):
            if not set(path.relative_to(package).parts) & set(OF_THE_COMMAND_LINE):
                yield ast.parse(path.read_text())


def test_the_library_names_no_options() -> None:
    """A program that calls it has none. It names arguments, which the command line words as its own options."""
    options = {name for command in COMMANDS for p in command.values[0].params for name in p.opts if name[:2] == "--"}
    texts = [n.value for tree in library() for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    named = re.compile("|".join(rf"{name}\b" for name in options))
    assert [text for text in texts if isinstance(text, str) and named.search(text)] == []


def hints() -> Iterator[str]:
    """The texts that the library gives as hints, written at their place or under a module's name for them."""
    trees = list(library())
    named = {
        target.id: node.value
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                value = named.get(node.value.id, node.value) if isinstance(node.value, ast.Name) else node.value
                yield from (
                    n.value for n in ast.walk(value) if isinstance(n, ast.Constant) and isinstance(n.value, str)
                )


def test_every_hint_is_about_an_option_of_some_command() -> None:
    """One about anything else would never be printed."""
    options = {p.name for command in COMMANDS for p in command.values[0].params if isinstance(p, click.Option)}
    hinted = {name for text in hints() for name in re.findall(r"\{(\w+)\}", text)}
    assert {"force", "allow_non_finite", "stand_in"} < hinted
    assert hinted <= options
