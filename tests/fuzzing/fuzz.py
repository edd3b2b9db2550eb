"""Fuzzing of every parser of users' files: success or InputError, in bounded time and memory, and nothing else.

    python -m tests.fuzzing.fuzz [SECONDS] [PARSER…]

Files are made from seeds, good ones and the hostile ones of ``tests/support``, by small damage. What is not success or
InputError with printable lines ends the run with the file that did it: another exception, an execution, a line of more
than a few thousand letters, a file that takes too long or too much memory, or that takes the process with it. The file
lies in ``build/fuzz``, and becomes a test.
"""

from __future__ import annotations

import faulthandler
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.fuzzing.damage import damaged
from tests.fuzzing.parsers import PARSERS, Parser

from aves_artifacts.base.errors import InputError

SECONDS = 600.0  # by default, for all parsers together
ONE_FILE = 20.0  # seconds that one may take
MEMORY = 4 << 30  # bytes beyond what the process has when it begins
LONGEST_LINE = 4000
_FORBIDDEN = ("os.system", "os.exec", "os.spawn", "os.posix_spawn", "subprocess", "socket.connect")
_OUT = Path("build") / "fuzz"

_reading = False


def _audit(event: str, arguments: object) -> None:
    if _reading and event.startswith(_FORBIDDEN):
        raise SystemExit(f"executed: {event} {arguments!r}")


def fuzz(parser: Parser, seconds: float, seed: int, out: Path = _OUT) -> int:
    """Read as many files as the time allows and return how many; leave the one in ``out`` that is a finding.

    Raises what the parser raises, and AssertionError for a problem that is no clear line.
    """
    global _reading
    draw = random.Random(seed)  # noqa: S311 - to be drawn again, not to be secret
    count, end = 0, time.monotonic() + seconds
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{parser.name}{parser.ending}"
    given = list(parser.seeds())
    draw.shuffle(given)  # where the time is too short for all, others are left out each time
    while time.monotonic() < end or count == 0:
        # every seed as it is, then damaged ones
        content = given[count] if count < len(given) else damaged(draw, given)
        path.write_bytes(parser.file(content))
        _reading = True
        faulthandler.dump_traceback_later(ONE_FILE, exit=True)
        try:
            read(parser.read, path)
        finally:
            faulthandler.cancel_dump_traceback_later()
            _reading = False
        count += 1
    path.unlink()
    return count


def read(parse: Callable[[Path], None], path: Path) -> None:
    """Read one file. Raises AssertionError for an InputError that is no clear lines, and whatever else is raised."""
    try:
        parse(path)
    except InputError as error:
        for problem in error.problems:
            if not problem.isprintable() or not 0 < len(problem) <= LONGEST_LINE:
                raise AssertionError(f"no clear line: {problem[:500]!r}") from error


def _limit_memory() -> None:
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> None:
    """Fuzz the parsers one after the other, each for its share of the time; a finding ends it."""
    words = sys.argv[1:]
    seconds = float(words.pop(0)) if words and words[0].replace(".", "", 1).isdigit() else SECONDS
    chosen = [parser for parser in PARSERS if not words or parser.name in words]
    if not chosen:
        sys.exit(f"no such parser; there are {', '.join(parser.name for parser in PARSERS)}")
    sys.addaudithook(_audit)
    for parser in chosen:  # what Python imports when it is needed first is no finding
        read(parser.read, _written(parser, next(iter(parser.seeds()))))
    if sys.platform == "linux":
        _limit_memory()
    seed = random.SystemRandom().randrange(2**32)
    for parser in chosen:
        print(f"{parser.name}: fuzzing with seed {seed}, into {_OUT / (parser.name + parser.ending)}", flush=True)
        count = fuzz(parser, seconds / len(chosen), seed)
        print(f"{parser.name}: {count:,} files read", flush=True)


def _written(parser: Parser, content: bytes) -> Path:
    _OUT.mkdir(parents=True, exist_ok=True)
    path = _OUT / f"{parser.name}{parser.ending}"
    path.write_bytes(parser.file(content))
    return path


if __name__ == "__main__":
    main()
