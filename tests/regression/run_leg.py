"""Build a leg's environment, run the leg in it, remove it again, and tell what was found.

python -m tests.regression.run_leg LEG [--quick] [--plant NAME] [--results FOLDER]
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.regression.legs import LEGS, Leg
from tests.regression.models import NAMES, QUICK
from tests.support.environments import PROJECT, directory_size, interpreter, make_environment

RESULTS = PROJECT / "build" / "torch-versions"
_SOURCES = ("artifacts", "convert", "tests/regression")


class NoInterpreterError(Exception):
    """The leg's Python is not here, and uv cannot fetch it."""


@dataclasses.dataclass(frozen=True)
class Environment:
    """A leg's environment: its interpreter, how long it took to make, and what it takes on disk."""

    python: Path
    seconds: float
    gigabytes: float


@contextmanager
def environment(leg: Leg, work: Path) -> Iterator[Environment]:
    """Made for the leg and removed after it. Raises NoInterpreterError.

    Another torch than the newest, which this project's own environment has, comes through a cache that goes with the
    environment: the user's would grow by 5 GB with each version.
    """
    _check_interpreter(leg)
    started = time.monotonic()
    original = ("fairseq==0.12.2",) if leg.has_fairseq else ()
    with tempfile.TemporaryDirectory(prefix="environment-", dir=work) as folder:
        made, cache = Path(folder) / "environment", None if leg.has_newest_torch else Path(folder) / "cache"
        python = make_environment(
            made,
            *leg.requirements,
            *original,
            python=interpreter(leg.python),
            extras=("verify", "torch-export"),
            torch_cache=cache,
        )
        yield Environment(python, time.monotonic() - started, directory_size(Path(folder)) / 1e9)


def run(
    leg: Leg, found: Environment, expected: Path, models: Sequence[str], *, plant: str = "nothing"
) -> dict[str, Any]:
    """The result of a leg in its environment. Where its program ends by an error, that is the result."""
    with tempfile.TemporaryDirectory(prefix="aves-leg-") as folder:
        out = Path(folder) / "result.json"
        command = [str(found.python), "-m", "tests.regression.leg", "--expected", str(expected), "--out", str(out)]
        ended = subprocess.run(
            [*command, "--plant", plant, *models], cwd=PROJECT, capture_output=True, text=True, check=False
        )
        if ended.returncode:
            lines = ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"]
            result: dict[str, Any] = {"failures": [f"the leg's program ended by an error: {lines[-1]}"], "numbers": []}
            print(ended.stderr, file=sys.stderr)
        else:
            result = json.loads(out.read_text())
    effort = {"seconds_to_install": round(found.seconds, 1), "gigabytes": round(found.gigabytes, 1)}
    return _about(leg) | result | effort


def _about(leg: Leg) -> dict[str, Any]:
    return {"leg": leg.name, "axis": leg.axis, "python": leg.python, "numbers": [], "failures": []}


def expected_hashes(work: Path, models: Sequence[str]) -> Path:
    """What this environment makes of the models, in a file; made once for these sources."""
    digest = hashlib.sha256(f"{sys.version}{models}".encode())
    for folder in _SOURCES:
        for path in sorted((PROJECT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    path = work / f"expected-{digest.hexdigest()[:12]}.json"
    if not path.exists():
        command = [sys.executable, "-m", "tests.regression.leg", "--out", str(path), *models]
        subprocess.run(command, cwd=PROJECT, check=True)
    return path


def _check_interpreter(leg: Leg) -> None:
    if Path(interpreter(leg.python)).is_absolute():
        return
    ways = (["uv", "python", "find", leg.python], ["uv", "python", "install", leg.python])
    if all(subprocess.run(way, check=False, capture_output=True).returncode for way in ways):
        raise NoInterpreterError(f"Python {leg.python} is not here and uv cannot fetch it")


def line(result: dict[str, Any]) -> str:
    """One leg in one line."""
    if "not_run" in result:
        return f"{result['leg']}: NOT RUN: {result['not_run']}"
    if result["failures"]:
        return "\n  ".join([f"{result['leg']}: FAILED", *result["failures"]])
    largest = max(row["max_abs"] for row in result["numbers"])
    seconds = f"{result['seconds_to_install']:.0f} s to install, {result['seconds']:.0f} s to run"
    return f"{result['leg']}: passed, largest difference {largest:.1e}; {seconds}, {result['gigabytes']:.1f} GB"


def run_here(leg: Leg, results: Path, models: Sequence[str], plant: str) -> dict[str, Any]:
    """Everything for one leg; what prevents it from being run is its result."""
    work = results.parent
    try:
        expected = expected_hashes(work, models)
        with environment(leg, work) as found:
            return run(leg, found, expected, models, plant=plant)
    except NoInterpreterError as error:
        return _about(leg) | {"not_run": str(error)}
    except subprocess.CalledProcessError as error:
        return _about(leg) | {"failures": [f"its environment cannot be made: {error}"]}


def main() -> None:
    """Run one leg and keep its result. Exit status 1 where it failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("leg", choices=LEGS)
    parser.add_argument("--quick", action="store_true", help="tiny models of four kinds, none of full size")
    parser.add_argument("--plant", default="nothing", help="a regression to plant, see planted.py")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    given.results.mkdir(parents=True, exist_ok=True)
    result = run_here(LEGS[given.leg], given.results, QUICK if given.quick else NAMES, given.plant)
    (given.results / f"{given.leg}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(line(result), flush=True)
    raise SystemExit(1 if result["failures"] else 0)


if __name__ == "__main__":
    main()
