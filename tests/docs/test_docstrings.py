"""The first line of a docstring stands alone in an editor, in a list of names and on the API pages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [
    path
    for package in ("artifacts/aves_artifacts", "convert/aves_convert", "verify/aves_verify", "examples")
    for path in sorted((ROOT / package).rglob("*.py"))
]
# What refers to something that was said elsewhere, which who reads this line alone has not read.
ELSEWHERE = re.compile(r"(The same|Also |Of |For programs|Those |As |It |Told |This |Likewise)")


def public(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Name and docstring of the module, its public functions and classes, and their public methods."""
    nodes: list[tuple[str, ast.AST]] = [("", tree)]
    while nodes:
        name, node = nodes.pop()
        docstring = ast.get_docstring(node)  # type: ignore[arg-type]
        if docstring is not None:
            yield name, docstring
        if isinstance(node, ast.Module | ast.ClassDef):
            inner = (child for child in node.body if isinstance(child, ast.FunctionDef | ast.ClassDef))
            nodes += [(f"{name}.{child.name}", child) for child in inner if not child.name.startswith("_")]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_first_line_is_a_sentence_that_needs_no_other(path: Path) -> None:
    for name, docstring in public(ast.parse(path.read_text())):
        first, *rest = docstring.splitlines()
        assert not rest or not rest[0], f"{name}: the sentence goes on in the second line"
        assert re.search(r"[.?:]$", first), f"{name}: {first}"
        assert not ELSEWHERE.match(first), f"{name}: {first}"
