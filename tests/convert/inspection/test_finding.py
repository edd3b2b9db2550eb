"""A finding as people read it, as programs read it, and the command that it names next."""

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.inspected import command

from aves_convert.cli import main
from aves_convert.inspection.identify import inspect


def test_a_path_cannot_steer_the_terminal(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "\x1b[2J\n.pt"
    path.write_bytes((bundle.parent / "tiny.pt").read_bytes())
    shown = inspect(path).to_text()
    assert shown.startswith(str(tmp_path))
    assert all(line.isprintable() for line in shown.splitlines())


def test_for_people_every_fact_is_on_its_line(bundle: Path) -> None:
    result = command(bundle.parent / "tiny.pt")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == f"{bundle.parent / 'tiny.pt'}: fairseq checkpoint"
    assert "  dimension           24" in lines
    assert lines[-1] == f"next: aves-convert bundle {bundle.parent / 'tiny.pt'} --out ports"


def test_for_programs_there_is_json(bundle: Path) -> None:
    result = command(bundle.parent / "tiny.pt", "--json")
    found = json.loads(result.output)
    assert list(found) == ["path", "kind", "usable", "facts", "next", "problem", "problems"]
    assert (found["usable"], found["problem"], found["facts"]["dimension"]) == (True, None, 24)


@pytest.mark.parametrize("name", ["a name  with spaces.pt", "-dash.pt", "$(touch EXECUTED).pt", "\u0444\u00e9.pt"])
def test_the_next_command_runs(name: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    path.write_bytes((bundle.parent / "tiny.pt").read_bytes())
    found = inspect(path)
    assert found.next is not None
    assert found.to_text().splitlines()[-1] == f"next: {found.next}"
    words = shlex.split(found.next)
    assert words[0] == "aves-convert"
    result = CliRunner().invoke(main, words[1:])
    assert result.exit_code == 0, result.output
    assert inspect(tmp_path / "ports").kind == "bundle"
