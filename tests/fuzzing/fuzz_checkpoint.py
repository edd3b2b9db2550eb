"""Coverage-guided fuzzing of the checkpoint reader, by hand: needs ``atheris``, which no test needs.

    python -m pip install atheris
    python tests/fuzzing/fuzz_checkpoint.py CORPUS_DIR -max_total_time=600 -timeout=20 -rss_limit_mb=4096

An input's first byte says what the rest is: a whole file, or a pickle inside a file that is valid otherwise.
Anything but success or InputError with a printable line for each problem is a finding: another exception, an execution,
a hang, memory. The folder is filled with the files of ``hostile_files`` first, if it is empty. A finding becomes an
entry there.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
with atheris.instrument_imports(include=["aves_convert"]):
    # reads with, and therefore brings in, what is to be instrumented
    from tests.fuzzing.reading import inspected, whole_checkpoint

    # imported by inspect when it is needed first
    from aves_convert.inspection.checkpoints import inspect_torch_file  # noqa: F401
    from aves_convert.inspection.onnx_graphs import inspect_onnx  # noqa: F401
    from aves_convert.torch_files.reader import wanted_calls

from tests.fuzzing.checkpoint_seeds import file_of, seeds

from aves_artifacts.base.errors import InputError

_FORBIDDEN = ("os.system", "os.exec", "os.spawn", "os.posix_spawn", "subprocess", "pickle", "socket", "exec", "import")
_FILE = Path(tempfile.mkdtemp(prefix="aves-fuzz-")) / "input.pt"
_reading = False


def _audit(event: str, arguments: object) -> None:
    if _reading and event.startswith(_FORBIDDEN):
        raise SystemExit(f"executed: {event} {arguments!r}")


def one_input(data: bytes) -> None:
    """Read a file and everything in it."""
    global _reading
    _FILE.write_bytes(file_of(data))
    _reading = True
    try:
        for read in (whole_checkpoint, wanted_calls, inspected):
            problems: tuple[str, ...] = ()
            try:
                read(_FILE)
            except InputError as error:
                problems = error.problems
            if any(not problem.isprintable() or len(problem) > 1000 for problem in problems):
                raise AssertionError(f"no clear lines: {problems!r}")
    finally:
        _reading = False


def main() -> None:
    """Fill the corpus folder and fuzz; the arguments are those of libFuzzer."""
    corpus = next((Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")), None)
    if corpus is not None and not list(corpus.glob("*")):
        corpus.mkdir(parents=True, exist_ok=True)
        for seed in seeds():
            (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    for seed in seeds():  # brings in what Python imports when it is needed first, before imports count as findings
        one_input(seed)
    sys.addaudithook(_audit)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
