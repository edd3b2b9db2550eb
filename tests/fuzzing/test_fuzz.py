"""Fuzzing finds what it looks for, and every parser is given its seeds."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fuzzing import fuzz
from tests.fuzzing.damage import damaged
from tests.fuzzing.parsers import PARSERS, Parser

from aves_artifacts.base.errors import InputError

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_seeds_are_read_or_refused_in_clear_lines(parser: Parser, tmp_path: Path) -> None:
    for i, content in enumerate(list(parser.seeds())[:60]):
        path = tmp_path / f"{i}{parser.ending}"
        path.write_bytes(parser.file(content))
        fuzz.read(parser.read, path)


def raising(error: Exception) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        if path.read_bytes() != b"good":
            raise error

    return read


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("a traceback"), "a traceback"),
        (InputError("a line\x1b[2J"), "no clear line"),
        (InputError("x" * 5000), "no clear line"),
    ],
)
def test_a_finding_ends_it_and_leaves_the_file(error: Exception, told: str, tmp_path: Path) -> None:
    parser = Parser("mine", ".bin", lambda: [b"good"], raising(error))
    with pytest.raises((ValueError, AssertionError), match=told):
        fuzz.fuzz(parser, 10, seed=0, out=tmp_path)
    assert (tmp_path / "mine.bin").read_bytes() != b"good"


def test_what_is_refused_is_no_finding(tmp_path: Path) -> None:
    parser = Parser("mine", ".bin", lambda: [b"good"], raising(InputError("no such file")))
    assert fuzz.fuzz(parser, 0.1, seed=0, out=tmp_path) > 1
    assert list(tmp_path.iterdir()) == []


def test_the_same_seed_does_the_same_damage() -> None:
    one, other = ([damaged(random.Random(seed), [b"some words", b"others"]) for seed in range(50)] for _ in range(2))  # noqa: S311
    assert one == other
    assert len(set(one)) > 40
