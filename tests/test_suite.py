"""The tests pass wherever they are started, and what no test runs is not forgotten when something gets another name."""

import ast
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("aves_artifacts", "aves_convert", "aves_verify", "benchmarks", "tests")


def ignore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


STARTS: dict[str, tuple[str, dict[str, str], Callable[[], None] | None]] = {
    "in a background job": ("tests/artifacts/base/test_command_line.py", {}, ignore_ctrl_c),
    "in a narrow terminal": ("tests/verify/report/test_naming.py", {"COLUMNS": "40"}, None),
    "where everything is coloured": ("tests/artifacts/configurations/test_settings.py", {"FORCE_COLOR": "1"}, None),
    "by a user with settings": ("tests/artifacts/test_cli.py", {"AVES_CATALOG": "/nowhere/catalog.toml"}, None),
}


@pytest.mark.slow
@pytest.mark.parametrize(("tests", "environment", "before"), STARTS.values(), ids=STARTS)
def test_tests_pass(tests: str, environment: dict[str, str], before: Callable[[], None] | None, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ROOT / tests)],
        cwd=tmp_path,
        env={**os.environ, **environment},
        preexec_fn=before,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "passed" in ended.stdout


def gone(source: str) -> Iterator[str]:
    """Names that are imported from modules of ours and are not there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in OURS:
            for imported in node.names:
                if not (_is_module(f"{node.module}.{imported.name}") or _has(node.module, imported.name)):
                    yield f"{node.module}.{imported.name}"


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _has(module: str, name: str) -> bool:
    return _is_module(module) and hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("folder", ["benchmarks", "docs", "examples", "tests"])
def test_every_name_that_is_imported_is_there(folder: str) -> None:
    """Also in what takes hours or packages of its own: the fuzzing, the legs, the measures."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert {str(path): names for path in paths if (names := list(gone(path.read_text(encoding="utf-8"))))} == {}


def test_a_name_that_is_gone_is_told() -> None:
    source = "def f():\n    from aves_artifacts.base.errors import Gone, InputError\n\nfrom tests.gone import x"
    assert set(gone(source)) == {"aves_artifacts.base.errors.Gone", "tests.gone.x"}
    assert not list(gone("from tests.support import browser\nfrom aves_artifacts import InputError"))
