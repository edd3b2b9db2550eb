"""Diagrams in mermaid's language, drawn from what the code imports: they cannot tell anything else than it does."""

from __future__ import annotations

from functools import cache

import grimp

ROOMS = ("aves_verify", "aves_convert", "aves_artifacts")
_EXCEPTIONS = "aves_artifacts.base.errors"  # nearly every module imports it, which tells nothing


def rooms() -> str:
    """The packages and subpackages, with how many modules each has and how many imports go from one to another."""
    graph = _graph()
    places = sorted(module for module in graph.modules if graph.find_children(module))
    lines = ["flowchart LR"]
    for place in places:
        count = len({m for m in graph.find_descendants(place) if _place(m, places) == place})
        lines.append(f'  {_identity(place)}["{place}<br>{count} modules"]')
    counts: dict[tuple[str, str], int] = {}
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            pair = (_place(importer, places), _place(imported, places))
            if pair[0] != pair[1]:
                counts[pair] = counts.get(pair, 0) + 1
    lines += [f"  {_identity(a)} -->|{count}| {_identity(b)}" for (a, b), count in sorted(counts.items())]
    return "\n".join(lines)


def imports_of(module: str) -> str:
    """A module and all that it imports directly, room by room, with the imports among them.

    The exceptions are left out. Raises KeyError where there is no such module.
    """
    graph = _graph()
    if module not in graph.modules:
        raise KeyError(f"{module}: no such module to draw")
    shown = {module} | set(graph.find_modules_directly_imported_by(module)) - {_EXCEPTIONS}
    lines = ["flowchart LR"]
    for room in ROOMS:
        inside = sorted(name for name in shown if name.split(".")[0] == room)
        if inside:
            lines.append(f"  subgraph {room}")
            lines += [f'    {_identity(name)}["{name.removeprefix(room + ".")}"]' for name in inside]
            lines.append("  end")
    edges = [(a, b) for a in sorted(shown) for b in sorted(shown & graph.find_modules_directly_imported_by(a))]
    lines += [f"  {_identity(a)} --> {_identity(b)}" for a, b in edges if not _is_detour(a, b, edges)]
    return "\n".join(lines)


def _is_detour(start: str, end: str, edges: list[tuple[str, str]]) -> bool:
    """Whether an edge may be left out, as longer ways lead there too: the diagram stays legible."""
    reached, todo = set(), [b for a, b in edges if a == start and b != end]
    while todo:
        place = todo.pop()
        if place == end:
            return True
        if place not in reached:
            reached.add(place)
            todo += [b for a, b in edges if a == place]
    return False


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(*ROOMS, cache_dir=None)


def _place(module: str, places: list[str]) -> str:
    """The innermost package that a module lies in."""
    return max((p for p in places if module == p or module.startswith(f"{p}.")), key=len)


def _identity(name: str) -> str:
    return name.replace(".", "_")
