"""Development sessions. Each runs in the project's own environment, which uv makes and keeps in .venv."""

import nox

nox.needs_version = ">=2024.10"
nox.options.sessions = ["lint", "types", "tests"]

SOURCES = ("artifacts", "convert", "verify", "tests", "noxfile.py")


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
def tests(session: nox.Session) -> None:
    """All tests, with the real fairseq; arguments go to pytest."""
    uv_run(session, "pytest", *session.posargs, options=("--extra", "fairseq", "--group", "dev"))


@nox.session(python=False)
def verify(session: nox.Session) -> None:
    """The main job at full size; arguments go to aves-verify."""
    arguments = session.posargs or ["--all-configs", "--stand-in"]
    uv_run(session, "aves-verify", *arguments, options=("--extra", "fairseq"))


@nox.session(python=False)
def faults(session: nox.Session) -> None:
    """Porting mistakes and clean ports: what the verifier says of each; the table goes into the docs."""
    command = ("python", "-m", "tests.verify.faults.suite", "docs/faults.md")
    uv_run(session, *command, options=("--extra", "fairseq", "--group", "dev"))
