"""A mermaid diagram as SVG, drawn when the site is built: in the browser it would need a script from another host.

It draws what ``diagrams`` writes and nothing else of that language: a column for each subgraph, its nodes from top to
bottom, and arrows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 150, 30  # of a node
_COLUMN, _ROW = 270, 54  # from one to the next
_LEFT, _TOP = 50, 44  # room for arrows that go around, and for the columns' names

_TITLE = re.compile(r"  accTitle: (.+)")  # for screen readers
_SUBGRAPH = re.compile(r"  subgraph (\w+)")
_NODE = re.compile(r'    (\w+)\["([^"<>&]+)"\]')
_ARROW = re.compile(r"  (\w+) --> (\w+)")


@dataclass(frozen=True)
class _Node:
    label: str
    column: int
    row: int

    @property
    def left(self) -> int:
        return _LEFT + self.column * _COLUMN

    @property
    def top(self) -> int:
        return _TOP + self.row * _ROW

    @property
    def middle(self) -> int:
        return self.top + _HEIGHT // 2


def svg(diagram: str) -> str:
    """The diagram as one line of HTML, in the page's own colours. Raises ValueError for what it cannot draw."""
    title, columns, nodes, arrows = _read(diagram)
    width = _LEFT + (len(columns) - 1) * _COLUMN + _WIDTH + 10
    height = max(node.top for node in nodes.values()) + _HEIGHT + 10
    parts = [
        f'<svg class="diagram" role="img" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" '
        f'style="max-width:{width}px;font:13px sans-serif;color:var(--md-default-fg-color,#222)">',
        f"<title>{escape(title)}</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>',
        '<g fill="none" stroke="currentColor" stroke-opacity=".55" marker-end="url(#head)">',
        *(f'<path d="{_way(nodes[a], nodes[b])}"/>' for a, b in arrows),
        "</g>",
    ]
    for i, name in enumerate(columns):
        parts.append(f'<text x="{_LEFT + i * _COLUMN}" y="24" font-weight="bold" fill="currentColor">{name}</text>')
    parts += [part for node in nodes.values() for part in _box(node)]
    return "".join([*parts, "</svg>"])


def _read(diagram: str) -> tuple[str, list[str], dict[str, _Node], list[tuple[str, str]]]:
    """Title, columns, nodes and arrows. Raises ValueError for a line that is none of these."""
    title = ""
    columns: list[str] = []
    nodes: dict[str, _Node] = {}
    arrows: list[tuple[str, str]] = []
    for line in diagram.strip("\n").splitlines():
        if found := _TITLE.fullmatch(line):
            title = found[1]
        elif found := _SUBGRAPH.fullmatch(line):
            columns.append(found[1])
        elif found := _NODE.fullmatch(line):
            row = sum(node.column == len(columns) - 1 for node in nodes.values())
            nodes[found[1]] = _Node(found[2], len(columns) - 1, row)
        elif (found := _ARROW.fullmatch(line)) and {found[1], found[2]} <= nodes.keys():
            arrows.append((found[1], found[2]))
        elif line not in ("flowchart TB", "  end"):
            raise ValueError(f"a diagram's line that is not drawn here: {line!r}")
    if not nodes:
        raise ValueError("a diagram without nodes")
    return title, columns, nodes, arrows


def _way(start: _Node, end: _Node) -> str:
    """An arrow's path: down to the next node, around those between, or across to another column."""
    x, y = start.left, start.middle
    if start.column != end.column:
        x += _WIDTH
        bend = x + (_COLUMN - _WIDTH) // 2, end.left - (_COLUMN - _WIDTH) // 2
        return f"M{x} {y}C{bend[0]} {y} {bend[1]} {end.middle} {end.left} {end.middle}"
    if end.row == start.row + 1:
        centre = x + _WIDTH // 2
        return f"M{centre} {start.top + _HEIGHT}L{centre} {end.top}"
    bend_x = x - 14 - 9 * min(4, abs(end.row - start.row))
    return f"M{x} {y}C{bend_x} {y} {bend_x} {end.middle} {x} {end.middle}"


def _box(node: _Node) -> Iterator[str]:
    yield (
        f'<rect x="{node.left}" y="{node.top}" width="{_WIDTH}" height="{_HEIGHT}" rx="4" stroke="currentColor" '
        'fill="var(--md-code-bg-color,#f5f5f5)"/>'
    )
    centre = node.left + _WIDTH // 2
    yield f'<text x="{centre}" y="{node.middle + 5}" text-anchor="middle" fill="currentColor">{node.label}</text>'
