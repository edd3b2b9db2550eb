"""Parts are made by what is loaded once, and loaded anew where a process of it has ended."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.process import LimitError, Limits, Process
from aves_verify.recipes.making import Made, PartJob

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")

ROOM = Limits(60, 1 << 30)


@dataclass
class Maker:
    process: Process = field(default_factory=Process)

    def make(self, spec: Any) -> Made:
        """What is found though a process ended, which it does by these signals, is made all the same."""
        try:
            for number in spec:
                self.process.call("signal", "raise_signal", number, limits=ROOM)
        except LimitError:
            return Made(b"it does not run", {})
        return Made(str(self.process.call("math", "hypot", 3, 4, limits=ROOM)).encode(), {"windows": 1})


@dataclass
class Recipe:
    key: str = "toy"
    files: tuple[Path, ...] = ()
    kills: list[int] = field(default_factory=list)  # signals that end a process while it is opened, one each time
    opened: int = 0

    def open(self, files: Mapping[Path, Path]) -> Maker:
        del files
        self.opened += 1
        if self.kills:
            try:
                Process().call("signal", "raise_signal", self.kills.pop(), limits=ROOM)
            except LimitError as error:
                raise InputError(str(error)) from None
        return Maker()


def test_what_was_found_while_a_process_was_killed_is_no_part(tmp_path: Path) -> None:
    recipe = Recipe()
    worker = PartJob(recipe, str(tmp_path)).open({})
    with pytest.raises(InputError, match="the process of an encoder was killed while it was at work"):
        worker.do(("a.txt", [signal.SIGKILL]))
    assert list(tmp_path.iterdir()) == []
    assert worker.do(("a.txt", []))["windows"] == 1
    assert (tmp_path / "a.txt").read_text() == "5.0"
    assert worker.do(("a.txt", [])) == {}
    assert recipe.opened == 2


def test_a_crash_is_found_and_the_next_part_is_made_by_another_process(tmp_path: Path) -> None:
    recipe = Recipe()
    worker = PartJob(recipe, str(tmp_path)).open({})
    worker.do(("a.txt", [signal.SIGSEGV]))
    worker.do(("b.txt", []))
    assert (tmp_path / "a.txt").read_text() == "it does not run"
    assert (tmp_path / "b.txt").read_text() == "5.0"
    assert recipe.opened == 2


def test_what_is_killed_while_it_is_loaded_is_loaded_again_but_not_for_ever(tmp_path: Path) -> None:
    once, ever, crashes = (Recipe(kills=each) for each in ([signal.SIGKILL], [signal.SIGKILL] * 9, [signal.SIGSEGV]))
    PartJob(once, str(tmp_path)).open({})
    assert once.opened == 2
    with pytest.raises(InputError, match="signal 9"):
        PartJob(ever, str(tmp_path)).open({})
    assert ever.opened == 3
    with pytest.raises(InputError, match="signal 11"):
        PartJob(crashes, str(tmp_path)).open({})
    assert crashes.opened == 1


def test_what_is_to_be_made_anew_is(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("damaged")
    job = PartJob(Recipe(), str(tmp_path), anew=frozenset({"a.txt"}))
    assert job.key != PartJob(Recipe(), str(tmp_path)).key
    job.open({}).do(("a.txt", []))
    assert (tmp_path / "a.txt").read_text() == "5.0"
