from pathlib import Path

import pytest
from click.testing import CliRunner

from aves_artifacts.cli import main
from aves_artifacts.configurations.settings import path_in


@pytest.mark.parametrize("variable", ["AVES_HOME", "AVES_CATALOG", "AVES_LOCK"])
def test_the_home_of_nobody_is_told(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVES_HOME", str(tmp_path))
    monkeypatch.setenv(variable, "~no-such-user/x")
    result = CliRunner().invoke(main, ["fetch", "bio", "--offline"])
    assert result.exit_code == 2
    assert f"${variable} is ~no-such-user/x" in result.output
    assert len(result.output.splitlines()) == 1


def test_an_empty_variable_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVES_HOME", "")
    assert path_in("AVES_HOME") is None
    monkeypatch.setenv("AVES_HOME", "~/x")
    assert path_in("AVES_HOME") == Path.home() / "x"
