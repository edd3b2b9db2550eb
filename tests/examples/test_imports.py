"""The examples stand on the public API alone, as whoever copies them must."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
FACES = {"aves_artifacts", "aves_convert", "aves_verify"}


def private_imports(program: str) -> Iterator[str]:
    """Every import of a module below one of the packages."""
    for node in ast.walk(ast.parse(program)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        yield from (name for name in names if name.partition(".")[0] in FACES and name not in FACES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_imports_nothing_but_faces(path: Path) -> None:
    assert list(private_imports(path.read_text(encoding="utf-8"))) == []


def test_deep_imports_are_seen_wherever_they_stand() -> None:
    program = "import aves_verify\nfrom aves_convert.graph import build\ndef f():\n import aves_artifacts.cli as c\n"
    assert list(private_imports(program)) == ["aves_convert.graph", "aves_artifacts.cli"]
    assert len(EXAMPLES) > 8
