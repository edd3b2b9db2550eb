"""Every command that the documentation shows exists, with its options: in pages, forms for issues and code spans."""

import itertools
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from tests.support.sessions import sessions

import classify
import cluster
import embed
from aves_artifacts.cli import main as aves_artifacts
from aves_convert.cli import main as aves_convert
from aves_verify.cli import main as aves_verify

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROGRAMS: dict[str, click.Command] = {
    "aves-artifacts": aves_artifacts,
    "aves-convert": aves_convert,
    "aves-verify": aves_verify,
    "python examples/classify.py": classify.main,
    "python examples/cluster.py": cluster.main,
    "python examples/embed.py": embed.main,
}
PAGES = (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / ".github").rglob("*.[my][dm][l]*"))
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = SETTINGS["project"]["optional-dependencies"]
_SPAN = re.compile(r"`+((?:pip install|uvx?|nox|aves-\w+) [^`]+)`+")
_LINE = re.compile(r"^ *((?:pip install|uvx?|nox|aves-\w+) .*?)(?:  +#.*)?$", flags=re.MULTILINE)
_INSTALL = re.compile(r"(?:uv )?pip install (?:uv|\.|'(?:\.|aves-ports)\[([\w,-]+)\]')")
_FORM = re.compile(r"(?:output of|placeholder:) (aves-.*|uv .*)")


def shown(page: Path) -> Iterator[str]:
    """The commands in a page: lines of shell blocks, code spans, what forms ask for."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".yml":
        yield from _FORM.findall(text)
        return
    for block in re.findall(r"(?ms)^```sh\n(.*?)^```", text):
        yield from _LINE.findall(block.replace("\\\n", " "))
    for span in _SPAN.findall(re.sub(r"(?ms)^```.*?^```", "", text)):
        yield " ".join(span.split())


def problem(line: str) -> str:
    """Why there is no such command; empty where there is. ``[…]`` around what may be left out is taken as given."""
    for part in line.split(" && "):
        if installed := _INSTALL.fullmatch(part):
            unknown = set((installed[1] or "").split(",")) - {"", *EXTRAS}
            if unknown:
                return f"no extra {unknown}"
            continue
        words = shlex.split(part.replace("…", "").replace("...", "").replace("[", " ").replace("]", " "))
        if found := _problem(words):
            return found
    return ""


def _problem(words: list[str]) -> str:
    if words[0] == "uvx" and words[1] == "nox":
        words = words[1:]
    if words[0] == "nox":
        own = words[1 : words.index("--")] if "--" in words else words[1:]
        unknown = {word.partition("(")[0] for word in own if word not in ("-s", "-l", "--list")} - sessions()
        return f"no session {unknown}" if unknown else ""
    if words[:2] == ["uvx", "pre-commit"]:
        return ""
    if words[:2] == ["uv", "run"]:
        given, words = words[2:], _after_options(words[2:])
        options = given[: len(given) - len(words)]
        missing = _unknown(options) or _lacking(options, words)
        if missing or not words:
            return missing
    elif words[0] in ("uv", "uvx"):
        return "" if words[:2] == ["uv", "build"] else f"not known here: {words}"
    if words[0] in ("pytest", "python") and words[1:2] and (ROOT / words[1]).exists() and "examples" not in words[1]:
        return ""
    name = " ".join(words[:2]) if words[0] == "python" else words[0]
    if name not in PROGRAMS:
        return f"no command {name}"
    return _misused(PROGRAMS[name], words[len(name.split()) :])


def _after_options(words: list[str]) -> list[str]:
    """What is left of ``uv run`` after uv's own options."""
    while words and words[0].startswith("--"):
        words = words[1 if words[0] == "--no-default-groups" else 2 :]
    return words


def _unknown(options: list[str]) -> str:
    """Which of the extras and groups that uv's options name there is not."""
    groups = SETTINGS["dependency-groups"]
    known = {"--extra": EXTRAS, "--group": groups, "--only-group": groups, "--python": None}
    for option, name in itertools.pairwise(options):
        if option.startswith("--") and option != "--no-default-groups" and name not in (known[option] or (name,)):
            return f"no {option} {name}"
    return ""


# Of what stands in a command, the extras of which one must be there; those of a group count as well.
NEEDS = {
    r"aves-verify (?!doctor|diff|--help|--version)": {"verify", "fairseq", "transformers"},
    r"aves-verify .*--transformers ": {"transformers"},
    r"aves-verify release ": {"release", "s3", "gcs"},
    r"aves-artifacts (publish|verify-release) ": {"release", "s3", "gcs"},
    r"aves-artifacts hub .*--push": {"hub"},
    r"aves-convert .*--exporter torch": {"torch-export"},
}


def _lacking(options: list[str], words: list[str]) -> str:
    """Which extra a command needs that ``uv run`` is not told to bring."""
    line = " ".join(words) + " "
    for command, extras in NEEDS.items():
        if re.match(command, line) and not extras & set(options):
            return f"needs --extra {sorted(extras)}"
    return ""


def _misused(command: click.Command, words: list[str]) -> str:
    """The first option, subcommand or value of a choice that a command has not."""
    while isinstance(command, click.Group):
        if words and words[0] in command.commands:
            command, words = command.commands[words[0]], words[1:]
        elif "run" in command.commands:  # aves-verify means its subcommand run
            command = command.commands["run"]
        elif not words or words[0] in ("--help", "--version"):
            return ""
        else:
            return f"no subcommand {words[0]}"
    options = {name: p for p in command.params if isinstance(p, click.Option) for name in (*p.opts, *p.secondary_opts)}
    for word, value in zip(words, [*words[1:], ""], strict=False):
        if word.startswith("-") and word != "--help":
            name = word.partition("=")[0]
            if name not in options:
                return f"no option {name}"
            kind = options[name].type
            if isinstance(kind, click.Choice) and not value.isupper() and value not in kind.choices:
                return f"{name} has no {value!r}"
    return ""


COMMANDS = sorted({(page.relative_to(ROOT).as_posix(), line) for page in PAGES for line in shown(page)})


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_command_that_is_shown_exists(page: str, line: str) -> None:
    assert problem(line) == "", page


def test_commands_are_found_in_pages_and_forms() -> None:
    pages = {page for page, _ in COMMANDS}
    assert {"README.md", "CONTRIBUTING.md", "docs/releasing.md", ".github/ISSUE_TEMPLATE/file.yml"} <= pages
    assert len(COMMANDS) > 60


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("aves-convert bundel x.pt", "no subcommand bundel"),
        ("aves-convert bundle x.pt --output DIR", "no option --output"),
        ("aves-verify --all-configs --stand-ins", "no option --stand-ins"),
        ("aves-verify bio --ports mine", "--ports has no 'mine'"),
        ("aves-artifacts fetch bio [--all-of-it]", "no option --all-of-it"),
        ("pip install uv && uv run --extra farseq aves-verify", "no --extra farseq"),
        ("uv pip install '.[hub,verfy]'", "no extra {'verfy'}"),
        ("uv run aves-verify --bundle DIR", "needs --extra ['fairseq', 'transformers', 'verify']"),
        ("uv run --extra verify aves-verify --bundle DIR --transformers DIR", "needs --extra ['transformers']"),
        ("uv run --extra verify aves-verify release --to URL", "needs --extra ['gcs', 'release', 's3']"),
        ("uv run aves-artifacts hub DIR --out FOLDER --push me/owls", "needs --extra ['hub']"),
        ("uv run --group example python examples/classify.py", "no --group example"),
        ("uv run --group examples python examples/classify.py --compar", "no option --compar"),
        ("uv run python examples/gone.py", "no command python examples/gone.py"),
        ("uvx nox -s lint typos -- --x", "no session {'typos'}"),
        ("aves-torch list", "no command aves-torch"),
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str, why: str) -> None:
    assert problem(line) == why
