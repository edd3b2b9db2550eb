"""What docs/structure.md shows of the code, drawn from the code: it cannot tell anything else than that does.

``python docs/site/diagrams.py`` writes it into the page: the rooms with the first line of each one's docstring, and the
diagram in mermaid's language, which code hosts draw by themselves. On the site ``drawing`` draws it.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import grimp

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "structure.md"
# From the one that stands on all others to the ground; each with the folder that it lies in.
PACKAGES = {"aves_verify": "verify", "aves_convert": "convert", "aves_artifacts": "artifacts"}

Arrow = tuple[str, str]


def page(text: str) -> str:
    """The page with its drawn parts made anew: each stands between a comment that names it and an end."""
    for name, block in {"rooms": rooms_table(), "diagram": f"```mermaid\n{diagram()}\n```"}.items():
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("\n<!-- end -->")
        if not begin or not end:
            raise ValueError(f"no place for the {name}: expected <!-- {name} --> … <!-- end -->")
        text = f"{before}{begin}\n{block}\n{end}{after}"
    return text


def diagram() -> str:
    """The rooms, package by package in the order that import-linter checks, with the imports between them.

    An import that a longer way replaces is left out: with all of them nothing could be seen.
    """
    lines = ["flowchart TB", "  accTitle: The rooms of the three packages, and which imports from which"]
    for package in PACKAGES:
        lines.append(f"  subgraph {package}")
        lines += [f'    {_identity(f"{package}.{room}")}["{room}"]' for room in rooms(package)]
        lines.append("  end")
    arrows = imports()
    lines += [f"  {_identity(a)} --> {_identity(b)}" for a, b in sorted(arrows) if not _is_detour(a, b, arrows)]
    return "\n".join(lines)


def rooms_table() -> str:
    """A table of every room with what it says of itself, the one that stands on all others first."""
    lines = ["| room | what lives there |", "|---|---|"]
    for package, folder in PACKAGES.items():
        lines.append(f"| **{folder}/{package}/** | **{_said(ROOT / folder / package)}** |")
        lines += [
            f"| `{room}{'/' if (path := ROOT / folder / package / room).is_dir() else '.py'}` | {_said(path)} |"
            for room in rooms(package)
        ]
    return "\n".join(lines)


def _said(place: Path) -> str:
    """The first line of a room's docstring, or of a module's."""
    source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    said = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0].replace("``", "`").rstrip(".")


def rooms(package: str) -> list[str]:
    """A package's rooms in the order that import-linter checks: none imports from one above it."""
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract.get("containers") == [package]]
    return list(layers)


def imports() -> set[Arrow]:
    """Which room imports from which, across packages too; what type checkers alone import is left out."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None, exclude_type_checking_imports=True)
    places = {module: room for module in graph.modules if (room := _room(module))}
    pairs = {(places[a], places[b]) for a in places for b in graph.find_modules_directly_imported_by(a) if b in places}
    return {(a, b) for a, b in pairs if a != b}


def _room(module: str) -> str:
    """The room that a module lies in; nothing for a package itself."""
    return ".".join(module.split(".")[:2]) if "." in module else ""


def _is_detour(start: str, end: str, arrows: set[Arrow]) -> bool:
    """Whether longer ways lead there too."""
    reached, todo = set(), [b for a, b in arrows if a == start and b != end]
    while todo:
        place = todo.pop()
        if place == end:
            return True
        if place not in reached:
            reached.add(place)
            todo += [b for a, b in arrows if a == place]
    return False


def _identity(name: str) -> str:
    return name.replace(".", "_")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
