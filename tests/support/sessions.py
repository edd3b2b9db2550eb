"""What the noxfile offers."""

from __future__ import annotations

import ast
from pathlib import Path

_NOXFILE = Path(__file__).parents[2] / "noxfile.py"


def sessions() -> set[str]:
    """The names of nox's sessions; a parametrised one by its name alone."""
    functions = [node for node in ast.parse(_NOXFILE.read_text()).body if isinstance(node, ast.FunctionDef)]
    return {f.name for f in functions if any("session" in ast.unparse(decorator) for decorator in f.decorator_list)}
