"""The cells as a table in Markdown, with what failed, by whose fault, and what was put right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.runtimes.clients import CLIENTS
from tests.runtimes.verdict import FINE

START, END = "<!-- made by nox -s runtimes -->", "<!-- end -->"
GRAPHS = {
    "float32": "default",
    "mixed": "`--precision mixed`",
    "export": "ordinary export",
    "fixed": "`--fixed-length`",
    "port": "TorchAudio's port",
}
_HEAD = ("client", "versions", "graph", "runs", "largest error", "error ratio", "worst input", "time", "verdict")
# Packages that a client needs, and which it is itself only where no other is left: the first of these.
_BESIDE = ("onnxruntime", "onnx", "jaxonnxruntime", "jax", "chromium", "node", "numpy")
_SHORTEST = 110  # characters of what went wrong, in the table; the JSON file has the rest

Cell = dict[str, Any]


def markdown(cells: Sequence[Cell], about: str) -> str:
    """Everything between the page's marks. ``about``: which model on which machine."""
    good, run = (sum(cell["verdict"] == verdict for cell in cells) for verdict in ("good", "runs"))
    others = f", and {run} run: they give other numbers on purpose" if run else ""
    parts = [f"**{good} of {len(cells)} cells are good{others}.** {about}", "\n".join(_rows(cells))]
    for title, lines in (("What fails, and by whose fault", _failures(cells)), ("Notes", _notes(cells))):
        parts += [f"### {title}", "\n".join(f"- {line}" for line in lines) or "Nothing."]
    return "\n\n".join(parts) + "\n"


def _rows(cells: Sequence[Cell]) -> Iterator[str]:
    yield f"| {' | '.join(_HEAD)} |"
    yield "|" + "---|" * len(_HEAD)
    for cell in cells:
        verdict = cell["verdict"] if cell["verdict"] in ("good", "runs", "not run") else f"**{cell['verdict']}**"
        numbers = (
            cell.get("runs", "-"),
            _number(cell.get("max_error"), ".1e"),
            _number(cell.get("error_ratio"), ".2f"),
            f"{cell['worst']} ({cell['worst_ratio']:.2f})" if cell.get("worst_ratio") is not None else "-",
            _number(cell.get("time_ratio"), ".2f"),
        )
        yield f"| {' | '.join((cell['client'], _versions(cell), GRAPHS[cell['graph']], *numbers, verdict))} |"


def _versions(cell: Cell) -> str:
    """The client's own version; all others are in the JSON file."""
    known = {name: version for name, version in cell["versions"].items() if version}
    own = min(known, key=lambda name: (_BESIDE.index(name) if name in _BESIDE else -1, name), default="")
    version = known.get(own, "-")
    return f"{version}, newest" if cell["packages"] == "newest" else version


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _failures(cells: Sequence[Cell]) -> Iterator[str]:
    """Each cell that is neither good nor runs; what several graphs of a client have in common once."""
    lines: dict[str, list[str]] = {}
    for cell in cells:
        if cell["verdict"] in FINE:
            continue
        told = one_line(cell["why"])
        if cell["fault"] is not None:
            thread = f" ([upstream]({cell['fault']['thread']}))" if cell["fault"]["thread"] else ""
            told = f"the client's own fault: {cell['fault']['why']}{thread}. It says: {told}"
        lines.setdefault(f"{cell['client']}: {told}", []).append(GRAPHS[cell["graph"]])
    for told, graphs in lines.items():
        client, _, rest = told.partition(": ")
        yield f"{client}, {', '.join(dict.fromkeys(graphs))}: {rest}"


def _notes(cells: Sequence[Cell]) -> Iterator[str]:
    for name in dict.fromkeys(cell["client"] for cell in cells):
        if name in CLIENTS and CLIENTS[name].note:
            yield f"{name}: {CLIENTS[name].note}."


def one_line(text: str) -> str:
    """What a client said, short, and with nothing in it that Markdown would take for its own."""
    short = text if len(text) <= _SHORTEST else text[: _SHORTEST - 1] + "…"
    return "`" + short.replace("`", "'").replace("|", "/") + "`" if short else ""


def replaced(page: str, tables: str) -> str:
    """The page with new tables between its two marks."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{tables}\n{END}{after}"
