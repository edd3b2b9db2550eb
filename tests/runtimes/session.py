"""Every client, each in its own environment, on the same inputs; the table in the docs from what they gave.

python -m tests.runtimes.session [--quick] [--reduced] [--client NAME] [--fairseq CHECKPOINT]
                               [--audio FILE]... [--docs FOLDER]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tests.runtimes import files, inputs
from tests.runtimes.cells import FASTEST, Cell, Session, cells
from tests.runtimes.clients import CLIENTS, Client, fault
from tests.runtimes.picture import draw
from tests.runtimes.snippets import run_snippets
from tests.runtimes.table import GIVEN, REDUCED, STAND_IN, Section, markdown, replaced
from tests.runtimes.verdict import key, regressions

from aves_convert.sounds.audio import read_clip

DOCS = Path(__file__).parents[2] / "docs"
TIMEOUT = {True: 60.0, False: 900.0}  # seconds for a client and a graph, by whether the session is the quick one


def chosen(given: argparse.Namespace) -> list[Client]:
    """The clients to run; the one that the others' times are compared with comes first.

    Those that run a small stand-in whatever is asked for have nothing to say of a checkpoint that is given.
    """
    names = given.client or [name for name, client in CLIENTS.items() if client.quick or not given.quick]
    every = [CLIENTS[name] for name in dict.fromkeys((FASTEST, *names))]
    found = [client for client in every if client.graphs(reduced=given.reduced)]
    return [client for client in found if given.fairseq is None or not client.small]


def prepared(given: argparse.Namespace, folder: Path) -> Session:
    """The files, the inputs and the right answers; of a small encoder too, where a client runs no other."""
    torch.set_num_threads(2)
    if (given.quick or given.reduced) and given.fairseq is None:
        return _prepared(given, files.small_checkpoint(folder), folder)
    session = _prepared(given, given.fairseq or files.base_checkpoint(folder), folder)
    if any(client.small for client in chosen(given)):
        (folder / "small").mkdir()
        session.small = _prepared(given, files.small_checkpoint(folder / "small"), folder / "small")
    return session


def _prepared(given: argparse.Namespace, checkpoint: Path, folder: Path) -> Session:
    recordings = {path.stem: read_clip(path).waveform for path in given.audio}
    one_each = list(inputs.inputs(inputs.QUICK if given.quick or given.reduced else inputs.LENGTHS[-1], recordings))
    longest = max(client.longest for client in chosen(given) if client.takes == "fixed") if _any_fixed(given) else 0
    shapes = dict.fromkeys(one.waveform.shape for one in one_each if one.waveform.shape[1] <= longest)
    make = files.make_reduced_files if given.reduced else files.make_files
    made = make(checkpoint, folder, shapes)
    answers = inputs.answers(made.weights, made.config_file, one_each)
    return Session(made, one_each, answers, TIMEOUT[given.quick], reduced=given.reduced)


def _any_fixed(given: argparse.Namespace) -> bool:
    return any(client.takes == "fixed" for client in chosen(given))


def all_cells(session: Session, clients: Sequence[Client], *, newest: bool) -> Iterator[list[Cell]]:
    """The cells of each client, told of as they come."""
    for client in clients:
        started = time.monotonic()
        pinned = cells(client, session, "pinned")
        versions = next((cell["versions"] for cell in pinned if cell["versions"]), None)
        fresh = cells(client, session, "newest", versions) if newest and client.newest else []
        for cell in (*pinned, *fresh):
            print(line(cell), flush=True)
        print(f"  {time.monotonic() - started:.0f} s", flush=True)
        yield [*pinned, *fresh]


def line(cell: Cell) -> str:
    """A cell in one line."""
    told = f": {cell['why']}" if cell["why"] else ""
    numbers = f" error {cell['max_error']:.1e}, ratio {cell['error_ratio']:.2f}" if cell.get("error_ratio") else ""
    if cell.get("snr") is not None:
        numbers = f" {cell['snr']} dB, cosine {cell['cosine']}, behind {cell['behind']}, like {cell['like']}"
    return f"{cell['client']} ({cell['packages']}), {cell['graph']}: {cell['verdict']}{numbers}{told}"


def merged(before: Sequence[Cell], now: Sequence[Cell]) -> list[Cell]:
    """What is known after a run: new cells in the place of old ones, in the order of the table of clients."""
    known = {key(cell): cell for cell in before} | {key(cell): cell for cell in now}
    order = list(CLIENTS)
    kept = [{**cell, "fault": fault(cell)} for cell in known.values() if cell["client"] in order]
    return sorted(kept, key=lambda cell: (order.index(cell["client"]), cell["packages"] != "pinned"))


def write_docs(docs: Path, section: Section, found: Sequence[Cell], model: str) -> None:
    """The results, the table of the page's section, and the picture."""
    about = f"Model: {model}; inputs up to {section.seconds} s; two threads of: {machines(found)}."
    document = {"about": about, "cells": list(found)}
    (docs / "data" / section.data).write_text(json.dumps(document, indent=1) + "\n")
    page = docs / "runtimes.md"
    page.write_text(replaced(page.read_text(), markdown(found, about, section), section))
    if section.picture:
        draw(found, docs / section.picture)


def machines(found: Sequence[Cell]) -> str:
    """The processor of most clients, and those whose last run was on another: errors are larger or smaller there."""
    clients: dict[str, list[str]] = {}
    for cell in found:
        of_one = clients.setdefault(cell["cpu"], [])
        if cell["client"] not in of_one:
            of_one.append(cell["client"])
    usual, *others = sorted(clients, key=lambda cpu: -len(clients[cpu]))
    return "; ".join([usual, *(f"of {cpu}: {' and '.join(clients[cpu])}" for cpu in others)])


def section_of(given: argparse.Namespace) -> Section:
    """Which part of the page the session is for."""
    if given.reduced:
        return REDUCED
    return STAND_IN if given.fairseq is None else GIVEN


def known(docs: Path, section: Section) -> list[dict[str, Any]]:
    """The cells that the docs have."""
    path = docs / "data" / section.data
    return json.loads(path.read_text())["cells"] if path.exists() else []


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="clients that are there in seconds, and a small model")
    parser.add_argument(
        "--reduced",
        action="store_true",
        help="the smaller graphs of a small encoder, with a table of their own; of --fairseq they are told of alone",
    )
    parser.add_argument("--client", action="append", choices=CLIENTS, metavar="NAME", help="this one alone; repeatable")
    parser.add_argument(
        "--fairseq", type=Path, help="a checkpoint in the place of the stand-in, with a table of its own"
    )
    parser.add_argument(
        "--audio", type=Path, action="append", default=[], help="a recording for synthesised sounds; repeatable"
    )
    parser.add_argument("--pinned", action="store_true", help="the pinned packages alone")
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder with runtimes.md")
    return parser.parse_args(given)


def main() -> None:
    """Run the session. Exit status 1 where a cell was good and is not any more, or a snippet of the page fails."""
    given = arguments(sys.argv[1:])
    section = section_of(given)
    writes = not given.quick and not (given.reduced and given.fairseq)  # that table is of a stand-in
    before = known(given.docs, section) if given.quick or writes else []
    recordings = f" on {', '.join(path.stem for path in given.audio)}" if given.audio else ""
    stand_in = "a stand-in of two layers" if given.reduced else "a stand-in of AVES base"
    model = (stand_in if given.fairseq is None else given.fairseq.name) + recordings
    with tempfile.TemporaryDirectory(prefix="aves-runtimes-") as folder:
        session = prepared(given, Path(folder))
        now: list[Cell] = []
        for fresh in all_cells(session, chosen(given), newest=not given.pinned):
            now += fresh
            asked = [cell for cell in now if not given.client or cell["client"] in given.client]
            if asked and writes:  # after each: the session takes long, and what was found stays found
                write_docs(given.docs, section, merged(before, asked), model)
        failures = regressions(before, now)
        if not given.client and not given.reduced:
            failures += run_snippets(given.docs / "runtimes.md", session.files, quick=given.quick)
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
