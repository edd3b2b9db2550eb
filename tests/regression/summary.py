"""All legs' results -> the table in the docs, with magnitudes, the jumps, and the plot of drift over versions.

python -m tests.regression.summary RESULTS [--docs FOLDER]
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.regression.legs import LEGS
from tests.regression.models import FULL_SIZE
from tests.regression.summary_plot import plot

JUMP = 2.0  # a magnitude that changes by more from one version to the next is told of
BACKENDS = {  # and what the table calls them
    "fairseq": "fairseq runs",
    "torchaudio": "TorchAudio runs",
    "onnx": "our graph",
    "onnx by torch": "`--exporter torch`",
    "transformers": "transformers runs",
}
AXES = {"torch": "torch and Python", "runtime": "ONNX Runtime, onnx and numpy beside the newest torch"}
_LONGEST = 240  # characters of a note
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # torch's messages have some
_START, _END = "<!-- made by nox -s torch_table -->", "<!-- end -->"

Result = dict[str, Any]


def read_results(folder: Path) -> list[Result]:
    """One for each leg, in the legs' order; a leg without a result counts as not run."""
    found = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    return [found.get(name) or _missing(name) for name in LEGS]


def _missing(name: str) -> Result:
    leg = LEGS[name]
    told = {"leg": name, "axis": leg.axis, "python": leg.python, "not_run": "no result"}
    return {**told, "numbers": [], "failures": []}


def markdown(results: Sequence[Result]) -> str:
    """The tables, what failed, what jumped, and what was noted."""
    parts = [_counts(results)]
    for axis, title in AXES.items():
        parts += [f"### {title[0].upper()}{title[1:]}", "\n".join(_table([r for r in results if r["axis"] == axis]))]
    parts += ["### Jumps", _list(jumps(results)) or f"None: no magnitude changes by more than {JUMP:g} times."]
    failures = [f"{result['leg']}: {failure}" for result in results for failure in result["failures"]]
    if failures:
        parts += ["### Failures", _list(failures)]
    parts += ["### Notes", _list(_notes(results)) or "None."]
    return "\n\n".join(parts) + "\n"


def _counts(results: Sequence[Result]) -> str:
    run = [result for result in results if "not_run" not in result]
    failed = sum(bool(result["failures"]) for result in run)
    told = f"**{len(run) - failed} of {len(results)} legs passed**, {failed} failed, {len(results) - len(run)} not run."
    if not run:
        return told
    seconds = sum(result.get("seconds", 0) + result.get("seconds_to_install", 0) for result in run)
    gigabytes = max(result.get("gigabytes", 0) for result in run)
    cpus = {result["environment"]["cpu"] for result in run if "environment" in result}
    return (
        f"{told} {seconds / 60:.0f} minutes in all, at most {gigabytes:.1f} GB of disk at a time; one thread of: "
        f"{', '.join(sorted(cpus))}."
    )


def _table(results: Sequence[Result]) -> Iterator[str]:
    """A row for each leg: versions, and of the full-size model the largest difference and the error ratio."""
    head = (
        "leg",
        "Python",
        "torch",
        "torchaudio",
        "numpy",
        "onnx",
        "ONNX Runtime",
        "transformers",
        *BACKENDS.values(),
        "tiny models",
        "result",
    )
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for result in results:
        if "environment" not in result:
            outcome = f"not run: {result['not_run']}" if "not_run" in result else "**failed**"
            yield f"| {result['leg']} | {result['python']} |" + " |" * (len(head) - 3) + f" {outcome} |"
            continue
        here = result["environment"]
        names = ("python", "torch", "torchaudio", "numpy", "onnx", "onnxruntime", "transformers")
        versions = [str(here.get(name) or "-") for name in names]
        if not result["torchaudio_extension"]:
            versions[2] += " †"
        cells = [_cell(result, backend) for backend in BACKENDS]
        tiny = [row["worst_ratio"] for row in result["numbers"] if _judged(row) and row["model"] != FULL_SIZE]
        outcome = "**failed**" if result["failures"] else "passed"
        yield f"| {' | '.join((result['leg'], *versions, *cells, f'≤ {max(tiny):.1f}', outcome))} |"


def _judged(row: dict[str, Any]) -> bool:
    return row["backend"] in ("fairseq", "torchaudio", "onnx", "transformers")


def _cell(result: Result, backend: str) -> str:
    row = number(result, backend)
    return "-" if row is None else f"{row['max_abs']:.1e} ({row['error_ratio']:.2f})"


def number(result: Result, backend: str, model: str = FULL_SIZE) -> dict[str, Any] | None:
    """A backend's numbers on a model; None where it did not run."""
    rows = (row for row in result["numbers"] if row["backend"] == backend and row["model"] == model)
    return next(rows, None)


def jumps(results: Sequence[Result]) -> Iterator[str]:
    """Magnitudes of any model that changed by more than JUMP from one leg to the next, the largest of each backend."""
    for axis in AXES:
        legs = [result for result in results if result["axis"] == axis and result["numbers"]]
        for before, after in itertools.pairwise(legs):
            for backend in BACKENDS:
                changes = sorted(_changes(before, after, backend), reverse=True)
                if changes and changes[0][0] > JUMP:
                    more = f" (and {len(changes) - 1} more)" if len(changes) > 1 else ""
                    yield f"{before['leg']} → {after['leg']}, {backend}: {changes[0][1]}{more}"


def _changes(before: Result, after: Result, backend: str) -> Iterator[tuple[float, str]]:
    for row in after["numbers"]:
        earlier = number(before, backend, row["model"]) if row["backend"] == backend else None
        for name, told in (("max_abs", "max |diff|"), ("error_ratio", "error ratio")):
            if earlier is None or not earlier[name] or not row[name]:
                continue
            factor = max(row[name] / earlier[name], earlier[name] / row[name])
            if factor > JUMP:
                yield factor, f"{told} of {row['model']} {earlier[name]:.2g} → {row[name]:.2g}"


def _notes(results: Sequence[Result]) -> Iterator[str]:
    """Each note once, with the legs and the models that have it."""
    legs: dict[str, dict[str, list[str]]] = {}
    for result in results:
        for note in result.get("notes", ()):
            model, _, told = _COLOUR.sub("", note).partition(", ")
            legs.setdefault(told, {}).setdefault(result["leg"], []).append(model)
    for told, names in legs.items():
        where = (f"{leg} ({', '.join(models)})" for leg, models in names.items())
        yield f"{'; '.join(where)}: {told:.{_LONGEST}}"


def _list(lines: Iterator[str] | Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def replaced(page: str, tables: str) -> str:
    """The page with new tables between its two marks."""
    before, _, rest = page.partition(_START)
    _, _, after = rest.partition(_END)
    return f"{before}{_START}\n\n{tables}\n{_END}{after}"


def main() -> None:
    """Print the tables, or put them into the docs. Exit status 1 where a leg failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--docs", type=Path, help="the folder with torch-versions.md")
    given = parser.parse_args()
    results = read_results(given.results)
    tables = markdown(results)
    if given.docs is None:
        print(tables)
    else:
        page = given.docs / "torch-versions.md"
        page.write_text(replaced(page.read_text(), tables))
        lines = (json.dumps(result, sort_keys=True) for result in results)
        (given.docs / "data" / "torch_versions.jsonl").write_text("\n".join(lines) + "\n")
        plot([result for result in results if result["numbers"]], given.docs / "torch-versions.svg")
    raise SystemExit(1 if any(result["failures"] for result in results) else 0)


if __name__ == "__main__":
    main()
