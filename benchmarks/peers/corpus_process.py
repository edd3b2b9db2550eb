"""What a program does that calls the library: a run over a corpus with the numbers of its tasks, or tasks of nothing.

    python -m benchmarks.peers.corpus_process run BUNDLE AUDIO PARTS --window 10 [--workers 2]
    python -m benchmarks.peers.corpus_process tasks 2000 --workers 2

The first prints what ``Done`` has; the second the seconds that a driver takes for a task that does nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aves_verify.corpus.windows import Cutting
from aves_verify.drivers.job import Settings, Task
from aves_verify.parts.identity import Looking
from aves_verify.runs.driving import Crew, at_work
from aves_verify.runs.ordering import verified
from aves_verify.subjects.subject import of_bundle, ready
from aves_verify.verification.plan import Plan

BACKENDS = ("torchaudio", "onnx")


@dataclass(frozen=True)
class Nothing:
    """A job whose tasks do nothing; its worker is itself."""

    key: str = "nothing"
    files: tuple[Path, ...] = ()

    def open(self, files: Mapping[Path, Path]) -> Nothing:
        del files
        return self

    def do(self, spec: Any) -> Mapping[str, float]:
        return {"size": len(spec)}


def run(bundle: Path, audio: Path, parts: Path, window: float, workers: int | None) -> dict[str, Any]:
    """Verify a bundle on a corpus."""
    crew, looking = Crew(workers=workers, settings=Settings(), form="json"), Looking(Cutting(window, window))
    subject = ready(of_bundle(bundle, None))
    ((_, done),) = verified([subject], Plan(backends=BACKENDS), looking, [str(audio)], str(parts), crew)
    assert not done.missing, done.missing
    return {"seconds": done.seconds, "parts": done.parts, **done.numbers}


def tasks(count: int, workers: int) -> dict[str, Any]:
    """Do so many tasks; what each is sent with is as large as a shard."""
    spec = bytes(20_000)
    with at_work(Crew(workers=workers, form="none"), 1) as doing:
        doing(Nothing(), [Task("first", spec)], ())
        began = time.perf_counter()
        outcome = doing(Nothing(), [Task(str(number), spec) for number in range(count)], ())
        seconds = time.perf_counter() - began
    assert len(outcome.done) == count
    return {"seconds": seconds / count}


def main() -> None:
    """Do what is asked, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    running, empty = kinds.add_parser("run"), kinds.add_parser("tasks")
    for name in ("bundle", "audio", "parts"):
        running.add_argument(name, type=Path)
    running.add_argument("--window", type=float, required=True)
    running.add_argument("--workers", type=int)
    empty.add_argument("count", type=int)
    empty.add_argument("--workers", type=int, required=True)
    given = parser.parse_args()
    from benchmarks.peers import corpus_process  # under its name: workers import it, too

    if given.kind == "run":
        print(json.dumps(run(given.bundle, given.audio, given.parts, given.window, given.workers)))
    else:
        print(json.dumps(corpus_process.tasks(given.count, given.workers)))


if __name__ == "__main__":
    main()
