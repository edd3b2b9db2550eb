"""Development sessions. Each runs in the project's own environment, which uv makes and keeps in .venv."""

import json
import shutil
import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent))  # nox does not put it there
from tests.regression.legs import LEGS

nox.needs_version = ">=2024.10"
nox.options.sessions = ["lint", "types", "tests"]

TEST_ENVIRONMENT = ("--extra", "fairseq", "--group", "dev")  # the other extras are in the group
LEG_ENVIRONMENT = ("--extra", "verify", "--extra", "torch-export")
# Markers; pyproject.toml says what each is.
NOT_QUICK = ("slow", "scheduled", "full_size", "trainer", "environments", "browser")

# What the addresses to publish at begin with, and the extra that is needed; files/address.py of aves_artifacts.
STORES = {"s3://": "s3", "s3a://": "s3", "gs://": "gcs", "gcs://": "gcs"}
SOURCES = ("artifacts", "convert", "verify", "examples", "docs", "benchmarks", "tests", "noxfile.py")


def uv_run(session: nox.Session, *command: str, options: tuple[str, ...], **kwargs: object) -> None:
    """Run a command in the project's environment with these extras and groups, installing what is missing."""
    session.run("uv", "run", *options, *command, external=True, **kwargs)


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Style, and the one direction of imports."""
    options = ("--only-group", "lint")
    uv_run(session, "ruff", "check", *SOURCES, options=options)
    uv_run(session, "ruff", "format", "--check", *SOURCES, options=options)
    uv_run(session, "lint-imports", options=options, env={"PYTHONPATH": "artifacts:convert:verify"})


@nox.session(python=False)
def types(session: nox.Session) -> None:
    """mypy, strict."""
    uv_run(session, "mypy", options=("--group", "types"))


@nox.session(python=False)
def quick(session: nox.Session) -> None:
    """Style and most of the tests in less than a minute, for every few minutes; arguments go to pytest.

    It leaves out types, what takes more than a second or so, models of full size, fairseq's trainer, environments that
    are built, and the browser. Nothing is downloaded.
    """
    lint(session)
    # each process goes on with the other's tests when it has none left; nothing here is dear to make twice
    command = ("pytest", "-q", "-n", "2", "--dist", "worksteal", "-m", f"not ({' or '.join(NOT_QUICK)})")
    uv_run(session, *command, *session.posargs, options=TEST_ENVIRONMENT)


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """The tests, with the real fairseq, in two processes; arguments go to pytest, such as -n 0 for one."""
    # a file's fixtures are made once; tests/conftest.py has brought the files that take long to the front
    shared = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
    command = ("pytest", *shared, "--durations", "25", "-m", "not scheduled")
    # a thread for each process: two of each wait for one another on two cores, which takes longer than computing
    uv_run(session, *command, *session.posargs, options=TEST_ENVIRONMENT, env={"OMP_NUM_THREADS": "1"})


@nox.session(python=False)
def scheduled(session: nox.Session) -> None:
    """The tests that take minutes for what seldom breaks, such as a benchmark from end to end."""
    uv_run(session, "pytest", "-m", "scheduled", *session.posargs, options=TEST_ENVIRONMENT)


@nox.session(python=False)
@nox.parametrize("leg", [nox.param(name, id=name) for name in LEGS])
def tests_torch(session: nox.Session, leg: str) -> None:
    """Conversion and numbers beside other versions, against the goldens: --quick, --plant. Then nox -s torch_table."""
    uv_run(session, "python", "-m", "tests.regression.run_leg", leg, *session.posargs, options=LEG_ENVIRONMENT)


@nox.session(python=False)
def torch_table(session: nox.Session) -> None:
    """What the legs of tests_torch found; with -- --docs docs the table and the plot in the docs are made anew."""
    command = ("python", "-m", "tests.regression.summary", "build/torch-versions")
    uv_run(session, *command, *session.posargs, options=LEG_ENVIRONMENT)


@nox.session(python=False)
def runtimes(session: nox.Session) -> None:
    """Every client of our files, with packages of its own; writes docs/runtimes.md. Also: --quick, --reduced."""
    command = ("python", "-m", "tests.runtimes.session", *session.posargs)
    uv_run(session, *command, options=TEST_ENVIRONMENT)


@nox.session(python=False)
def goldens(session: nox.Session) -> None:
    """Make the goldens anew, with fairseq in an environment of its own time; names of models may follow."""
    uv_run(session, "python", "-m", "tests.regression.make_goldens", *session.posargs, options=LEG_ENVIRONMENT)


@nox.session(python=False)
def verify(session: nox.Session) -> None:
    """The main job at full size; arguments go to aves-verify."""
    arguments = session.posargs or ["--all-configs", "--stand-in"]
    uv_run(session, "aves-verify", *arguments, options=("--extra", "fairseq"))


@nox.session(python=False)
def faults(session: nox.Session) -> None:
    """Porting mistakes and clean ports: what the verifier says of each; the table goes into the docs."""
    command = ("python", "-m", "tests.verify.faults.suite", "docs/faults.md")
    uv_run(session, *command, options=TEST_ENVIRONMENT)


@nox.session(python=False)
def fuzz(session: nox.Session) -> None:
    """Damaged files through every parser of users' files, for as many seconds as are given, 600 by default."""
    uv_run(session, "python", "-m", "tests.fuzzing.fuzz", *session.posargs, options=TEST_ENVIRONMENT)


@nox.session(python=False)
def docs(session: nox.Session) -> None:
    """The documentation as a site, in site/; a link that leads nowhere fails. Arguments go to mkdocs build.

    What docs/structure.md shows of the code is drawn anew before.
    """
    uv_run(session, "python", "docs/site/diagrams.py", options=("--group", "docs"))
    uv_run(session, "mkdocs", "build", *session.posargs, options=("--group", "docs"))


@nox.session(python=False)
def bench(session: nox.Session) -> None:
    """Time and memory against what people use today, about three hours; arguments go to benchmarks."""
    command = ("python", "-m", "benchmarks", *session.posargs)
    uv_run(session, *command, options=TEST_ENVIRONMENT)


MUTATION_SCORE = 0.95  # of the mutants of the comparison's own code, this many at least must fail a test


@nox.session(python=False)
def mutate(session: nox.Session) -> None:
    """Small faults in compare.py and noise.py, one at a time: does a test notice? Arguments go to mutmut run."""
    root = Path.cwd()
    flat = Path(session.create_tmp())
    shutil.rmtree(flat)
    shutil.copytree(root / "verify" / "aves_verify", flat / "aves_verify")
    for name in ("pyproject.toml", "tests/verify/comparison/test_compare.py", "tests/verify/comparison/test_noise.py"):
        (flat / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, flat / name)
    options = ("--project", str(root), "--group", "mutate")
    with session.chdir(flat):
        # CI makes hypothesis try the same examples for every mutant
        uv_run(session, "mutmut", "run", *session.posargs, options=options, env={"CI": "1"})
        uv_run(session, "mutmut", "results", options=options)
        uv_run(session, "mutmut", "export-cicd-stats", options=options)
        counts = json.loads(Path("mutants/mutmut-cicd-stats.json").read_text())
    caught = counts["killed"] + counts["timeout"]
    session.log(f"{caught} of {counts['total']} mutants caught")
    if caught < MUTATION_SCORE * counts["total"]:
        session.error(f"fewer than {MUTATION_SCORE:.0%}: write a test for each that survived, or take out what is idle")


@nox.session(python=False)
def release(session: nox.Session) -> None:
    """Convert, verify and publish; arguments go to aves-verify release, such as --stand-in --to file:///tmp/aves."""
    extras = {extra for scheme, extra in STORES.items() if any(given.startswith(scheme) for given in session.posargs)}
    options = [option for extra in ("fairseq", "release", *extras) for option in ("--extra", extra)]
    uv_run(session, "aves-verify", "release", *session.posargs, options=tuple(options))
