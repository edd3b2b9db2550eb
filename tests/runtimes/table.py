"""The cells as a table in Markdown, with what failed, by whose fault, and what was put right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.runtimes.clients import CLIENTS
from tests.runtimes.verdict import FINE

GRAPHS = {
    "float32": "default",
    "mixed": "`--precision mixed`",
    "export": "ordinary export",
    "fixed": "`--fixed-length`",
    "port": "TorchAudio's port",
    "float16-weights": "`--weights float16`",
    "float16": "`--precision float16`",
    "int8": "`--precision int8`",
    "fixed-float16-weights": "`--weights float16 --fixed-length`",
    "fixed-float16": "`--precision float16 --fixed-length`",
    "fixed-int8": "`--precision int8 --fixed-length`",
}
# Packages that a client needs, and which it is itself only where no other is left: the first of these.
_BESIDE = ("onnxruntime", "onnx", "jaxonnxruntime", "jax", "chromium", "node", "numpy")
_SHORTEST = 110  # characters of what went wrong, in the table; the JSON file has the rest

Cell = dict[str, Any]


END = "<!-- end -->"


@dataclass(frozen=True)
class Section:
    """A part of the page that the session makes: after which mark, from which data, and the columns of its table."""

    start: str
    data: str
    columns: tuple[str, ...]
    picture: str = ""
    notes: bool = True
    seconds: int = 30  # of the longest input


_COLUMNS: dict[str, Callable[[Cell], str]] = {
    "client": lambda cell: str(cell["client"]),
    "versions": lambda cell: _versions(cell),
    "graph": lambda cell: GRAPHS[cell["graph"]],
    "runs": lambda cell: str(cell.get("runs", "-")),
    "largest error": lambda cell: _number(cell.get("max_error"), ".1e"),
    "of what is allowed": lambda cell: _number(cell.get("of_allowed"), ".2f"),
    "error ratio": lambda cell: _number(cell.get("error_ratio"), ".2f"),
    "worst input": lambda cell: _worst(cell),
    "signal to noise": lambda cell: _number(cell.get("snr"), ".1f", " dB"),
    "cosine": lambda cell: _number(cell.get("cosine"), ".6f"),
    "more noise than ONNX Runtime": lambda cell: _number(cell.get("behind"), ".1f", " dB"),
    "from ONNX Runtime's": lambda cell: _likeness(cell),
    "time": lambda cell: _number(cell.get("time_ratio"), ".2f"),
    "verdict": lambda cell: _verdict(cell["verdict"]),
}
_OF_REDUCED = ("signal to noise", "cosine", "more noise than ONNX Runtime", "from ONNX Runtime's")
STAND_IN = Section(
    "<!-- made by nox -s runtimes -->",
    "runtimes.json",
    tuple(name for name in _COLUMNS if name not in ("of what is allowed", *_OF_REDUCED)),
    "runtimes.svg",
)
# Of a checkpoint that is given, beside other work: its times would say nothing.
GIVEN = Section(
    "<!-- made by nox -s runtimes -- --fairseq -->",
    "runtimes_given.json",
    tuple(name for name in _COLUMNS if name not in ("time", *_OF_REDUCED)),
    notes=False,
)
REDUCED = Section(
    "<!-- made by nox -s runtimes -- --reduced -->",
    "runtimes_reduced.json",
    ("client", "versions", "graph", "runs", *_OF_REDUCED, "verdict"),
    notes=False,
    seconds=3,
)


def markdown(cells: Sequence[Cell], about: str, section: Section = STAND_IN) -> str:
    """Everything between a section's marks. ``about``: which model on which machine."""
    good, run = (sum(cell["verdict"] == verdict for cell in cells) for verdict in ("good", "runs"))
    others = f", and {run} run: they give other numbers on purpose" if run else ""
    parts = [f"**{good} of {len(cells)} cells are good{others}.** {about}", "\n".join(_rows(cells, section))]
    told = [("What fails, and by whose fault", _failures(cells)), ("Notes", _notes(cells))]
    for title, lines in told if section.notes else told[:1]:
        parts += [f"### {title}", "\n".join(f"- {line}" for line in lines) or "Nothing."]
    return "\n\n".join(parts) + "\n"


def _rows(cells: Sequence[Cell], section: Section) -> Iterator[str]:
    yield f"| {' | '.join(section.columns)} |"
    yield "|" + "---|" * len(section.columns)
    for cell in cells:
        yield f"| {' | '.join(_COLUMNS[name](cell) for name in section.columns)} |"


def _worst(cell: Cell) -> str:
    return f"{cell['worst']} ({cell['worst_ratio']:.2f})" if cell.get("worst_ratio") is not None else "-"


def _verdict(verdict: str) -> str:
    return verdict if verdict in ("good", "runs", "not run") else f"**{verdict}**"


def _versions(cell: Cell) -> str:
    """The client's own version; all others are in the JSON file."""
    known = {name: version for name, version in cell["versions"].items() if version}
    own = min(known, key=lambda name: (_BESIDE.index(name) if name in _BESIDE else -1, name), default="")
    version = known.get(own, "-")
    return f"{version}, newest" if cell["packages"] == "newest" else version


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else format(value, form) + unit


def _likeness(cell: Cell) -> str:
    """How far a smaller graph's embeddings are from those that ONNX Runtime gives of the same file."""
    return "same bits" if cell.get("same") else _number(cell.get("like"), ".0f", " dB")


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


def replaced(page: str, tables: str, section: Section = STAND_IN) -> str:
    """The page with new tables between a section's mark and the next end."""
    before, _, rest = page.partition(section.start)
    _, _, after = rest.partition(END)
    return f"{before}{section.start}\n\n{tables}\n{END}{after}"
