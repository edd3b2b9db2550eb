"""Measure this project against what people use today.

    python -m benchmarks [CHECKPOINT] [--only PART,…] [--work DIR] [--out DIR] [--audio DIR] [--quick]
        [--windows N] [--hours H]

Without a checkpoint fairseq's own trainer makes one. Results of parts are merged into what ``--out`` has already, so
they may be measured one by one, on a machine that does nothing else. ``--quick`` only shows that all runs. Linux.
Exit status: 0 everything promised of these parts is met, 1 something is not.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.machine import describe, measure_floors
from benchmarks.measures.converting import converting, starting
from benchmarks.measures.corpus import base_corpus, tiny_corpus
from benchmarks.measures.inference import exports, frameworks, long, scale_length
from benchmarks.measures.reduced import reduced, reduced_long
from benchmarks.measures.scaling import scale_converting
from benchmarks.measures.verifying import scale_verifying, verifying
from benchmarks.processes import python, run
from benchmarks.report.results import Part, Session, merge

PARTS: dict[str, Callable[[Bench], Part]] = {
    "converting": converting,
    "starting": starting,
    "verifying": verifying,
    "long": long,
    "exports": exports,
    "frameworks": frameworks,
    "reduced": reduced,
    "reduced-long": reduced_long,
    "corpus": tiny_corpus,
    "corpus-base": base_corpus,
    "scale-length": scale_length,
    "scale-converting": scale_converting,
    "scale-verifying": scale_verifying,
}


def main() -> None:
    """Measure the parts asked for, one after the other."""
    given = _arguments()
    with tempfile.TemporaryDirectory(prefix="aves-bench-") as temporary:
        work = (given.work or Path(temporary)).resolve()
        for folder in (work, given.out):
            folder.mkdir(parents=True, exist_ok=True)
        checkpoint, made, answers = _checkpoint(given, work), set[str](), dict[tuple[float, int], tuple[Path, float]]()
        recordings = tuple(sorted(given.audio.resolve().glob("*.flac"))) if given.audio else ()
        for name in given.only:
            print(f"measuring: {name}", file=sys.stderr, flush=True)
            before = os.getloadavg()[0]
            floors = measure_floors(work, quick=given.quick)
            bench = Bench(checkpoint, work, floors, given.quick, made, answers, given.windows, given.hours, recordings)
            part = PARTS[name](bench)
            machine = {**describe(bench.floors), "load": [before, os.getloadavg()[0]]}
            sessions = merge(given.out / "results.json", name, Session(machine, part))
    # The report needs rich and matplotlib: only now, when no process is measured any more that begins with our memory.
    from benchmarks.report.page import print_table, write_markdown
    from benchmarks.report.plot import plot

    print_table(sessions)
    write_markdown(sessions, given.out / "results.md")
    plot(sessions, given.out / "results.svg")
    missed = [row.what for name in given.only for row in sessions[name].part.rows if row.met is False]
    raise SystemExit(f"not met: {'; '.join(missed)}" if missed and not given.quick else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, nargs="?", help="a base checkpoint as fairseq's trainer wrote it")
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,…", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--work", type=Path, help="where checkpoints, peers and their files are kept")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"), help="where the results go")
    parser.add_argument("--audio", type=Path, metavar="DIR", help="recordings, *.flac, for smaller graphs and a corpus")
    parser.add_argument("--windows", type=int, default=10_000, metavar="N", help="of the corpus with a tiny model")
    parser.add_argument("--hours", type=float, default=1.0, metavar="H", help="of the corpus with the checkpoint")
    parser.add_argument("--quick", action="store_true", help="a tiny model, and no peer that needs an environment")
    given = parser.parse_args()
    given.only = given.only.split(",")
    unknown = set(given.only) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return given


def _checkpoint(given: argparse.Namespace, work: Path) -> Path:
    if given.checkpoint is not None:
        return Path(given.checkpoint).resolve()
    path = work / ("tiny.pt" if given.quick else "trained.pt")
    if not path.exists():
        run(python("benchmarks.checkpoints", path.stem, path))
    return path


if __name__ == "__main__":
    main()
