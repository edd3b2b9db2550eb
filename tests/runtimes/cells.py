"""One client from end to end: its environment, every graph that it takes, and a cell of the table for each."""

from __future__ import annotations

import math
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import processor
from tests.runtimes import reduced
from tests.runtimes.clients import Client, fault
from tests.runtimes.environments import NoEnvironmentError, make_environment
from tests.runtimes.files import Files
from tests.runtimes.inputs import Answers, Input
from tests.runtimes.reduced import Yardstick
from tests.runtimes.running import SCRIPTS, Run, run
from tests.runtimes.verdict import judged, measured, of_allowed, original_errors

FASTEST = "ONNX Runtime"  # times are told as multiples of this client's
_TIMED = 16_000  # samples at least of the inputs whose times are compared

Cell = dict[str, Any]

_FOLDERS = re.compile(re.escape(tempfile.gettempdir()) + r"/\S*/")


@dataclass
class Session:
    """What all clients share: files, inputs and answers; and the times that theirs are compared with.

    ``small``: the same of a small encoder, which some clients run always; its times are compared with nothing.
    """

    files: Files
    given: Sequence[Input]
    answers: Mapping[str, Answers]
    timeout: float
    fastest: dict[str, float] = field(default_factory=dict)  # seconds by the input's name
    small: Session | None = None
    reduced: bool = False  # of the smaller graphs, and no others
    yardstick: Yardstick = field(default_factory=dict)  # what those are held against

    def of(self, client: Client) -> Session:
        """What this client runs: of the small encoder, where that is another and the client's own."""
        return self.small if client.small and self.small is not None else self

    def for_client(self, client: Client) -> list[Input]:
        """The inputs that a client takes."""
        fitting = [one for one in self.given if client.shortest <= one.waveform.shape[1] <= client.longest]
        return [one for one in fitting if client.batch or len(one.waveform) == 1]


def cells(client: Client, session: Session, packages: str, before: Mapping[str, str] | None = None) -> list[Cell]:
    """A client's cells with its pinned or its newest packages.

    ``before``: the versions that the pinned ones gave; where the newest are the same, nothing is run again.
    """
    session = session.of(client)
    graphs = client.graphs(reduced=session.reduced)
    wanted = client.pinned if packages == "pinned" else client.newest
    with tempfile.TemporaryDirectory(prefix="aves-runtime-", ignore_cleanup_errors=True) as folder:
        try:
            environment = make_environment(client, wanted, Path(folder) / "environment")
        except NoEnvironmentError as error:
            return [_cell(client, packages, graph, "not run", str(error)) for graph in graphs]
        given = session.for_client(client)
        if before is not None and _same(client, session, environment, given, before):
            return []
        runs = {}
        for graph in graphs:
            script, model = SCRIPTS / client.script, session.files.model(graph)
            runs[graph] = run(environment, script, client.arguments, model, given, session.timeout)
    judge = _judged_reduced if session.reduced else _judged
    return list(judge(client, session, packages, runs, given))


def _same(client: Client, session: Session, environment: Any, given: list[Input], before: Mapping[str, str]) -> bool:
    """Whether these packages have the versions that were run before, by a run on the shortest input."""
    model = session.files.model(client.graphs(reduced=session.reduced)[0])
    found = run(environment, SCRIPTS / client.script, client.arguments, model, given[:1], session.timeout)
    return bool(found.versions) and dict(found.versions) == dict(before)


def _judged(
    client: Client, session: Session, packages: str, runs: Mapping[str, Run], given: list[Input]
) -> Iterator[Cell]:
    original = original_errors(given, session.answers)
    errors = {graph: measured(found, given, session.answers) for graph, found in runs.items()}
    if client.name == FASTEST and packages == "pinned":
        session.fastest.update(runs["float32"].seconds)
    export = errors["export"].largest if "export" in errors and not runs["export"].errors else None
    for graph, found in runs.items():
        yardstick = None if graph == "export" else export
        verdict, why = judged(found, errors[graph], original, yardstick, exact=client.exact)
        yield {
            **_cell(client, packages, graph, verdict, why),
            "versions": dict(found.versions),
            "loads": found.load_seconds is not None,
            "runs": f"{len(found.outputs)} of {len(given)}",
            "max_error": _number(max(errors[graph].largest.values(), default=math.nan)),
            "of_allowed": _number(of_allowed(errors[graph], original, yardstick)),
            "error_ratio": _number(errors[graph].ratio),
            "worst": errors[graph].worst,
            "worst_ratio": _number(errors[graph].worst_ratio),
            "time_ratio": _number(_time_ratio(found, session.fastest, given)),
        }


def _judged_reduced(
    client: Client, session: Session, packages: str, runs: Mapping[str, Run], given: list[Input]
) -> Iterator[Cell]:
    for graph, found in runs.items():
        if client.name == FASTEST and packages == "pinned":
            session.yardstick[graph] = found.outputs
        yardstick = session.yardstick.get(reduced.plain(graph), {})
        verdict, why, about = reduced.judged(graph, found, session.answers, yardstick)
        yield {
            **_cell(client, packages, graph, verdict, why),
            "versions": dict(found.versions),
            "loads": found.load_seconds is not None,
            "runs": f"{len(found.outputs)} of {len(given)}",
            **about,
        }


def _cell(client: Client, packages: str, graph: str, verdict: str, why: str) -> Cell:
    found = {
        "client": client.name,
        "packages": packages,
        "python": "" if client.npm else client.python,
        "graph": graph,
        "verdict": verdict,
        "why": _FOLDERS.sub("", why),  # the same words on every machine
        "measured": time.strftime("%Y-%m-%d"),
        "cpu": processor(),
        "exact": client.exact,
        "versions": {},
    }
    return {**found, "fault": fault(found)}


def _time_ratio(found: Run, fastest: Mapping[str, float], given: list[Input]) -> float:
    """How many times as long as ONNX Runtime it takes, over inputs of a second or more that both ran."""
    both = [
        one.name
        for one in given
        if one.waveform.shape[1] >= _TIMED and one.name in fastest and one.name in found.seconds
    ]
    total = sum(fastest[name] for name in both)
    return sum(found.seconds[name] for name in both) / total if total else math.nan


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.4g}")
