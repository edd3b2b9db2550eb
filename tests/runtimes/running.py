"""Running a client's script on inputs. Whatever it does, what comes back is a `Run`: no client ends the session."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.runtimes.environments import Environment, variables
from tests.runtimes.inputs import Input

SCRIPTS = Path(__file__).parent / "clients"
_LONGEST = 300  # characters of what a client said


@dataclass(frozen=True, eq=False)
class Run:
    """What a client made of one model: outputs by the input's name, seconds, and what went wrong."""

    versions: Mapping[str, str] = field(default_factory=dict)
    load_seconds: float | None = None
    outputs: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    changing: tuple[str, ...] = ()  # inputs whose second run gave something else than the first
    errors: Mapping[str, str] = field(default_factory=dict)  # by the input's name; "" for the whole


def run(
    environment: Environment,
    script: Path,
    arguments: Iterable[str],
    model: Path,
    given: Iterable[Input],
    timeout: float,
) -> Run:
    """Run a script in its own process, which is ended with all that it started after so many seconds."""
    with tempfile.TemporaryDirectory(prefix="aves-client-", ignore_cleanup_errors=True) as folder:
        inputs, out = Path(folder) / "inputs", Path(folder) / "out"
        inputs.mkdir()
        out.mkdir()
        names = {}
        for i, one in enumerate(given):  # in the order given: a client that dies at a long one has done the short ones
            names[f"{i:02}"] = one.name
            np.save(inputs / f"{i:02}.npy", one.waveform)
        command = [str(environment.program), str(script), str(model), str(inputs), str(out), *arguments]
        ended = _ended(command, {**variables(environment), "TMPDIR": folder}, timeout)
        return _read(out, names, ended)


def _ended(command: list[str], environment: dict[str, str], timeout: float) -> str:
    """How a process ended: empty for well, else one line."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        errors="replace",
    )
    try:
        said, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return f"it takes longer than {timeout:g} s"
    finally:
        _end_all(process)
    if process.returncode == 0:
        return ""
    lines = [line for line in said.splitlines() if line.strip()] or [""]
    how = f"signal {signal.Signals(-process.returncode).name}" if process.returncode < 0 else "an error"
    return f"it ended by {how}: {lines[-1].strip()}"[:_LONGEST]


def _end_all(process: subprocess.Popen[str]) -> None:
    """End what it started too, such as a browser: all of it is in a group of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(out: Path, names: Mapping[str, str], ended: str) -> Run:
    """What is in the client's folder; what is not as it should be there is an error of the client."""
    try:
        result = json.loads((out / "result.json").read_text())
        about = {names[key]: dict(value) for key, value in result["inputs"].items()}
        errors = {name: str(found["error"]) for name, found in about.items() if "error" in found}
        ran = {name: found for name, found in about.items() if "error" not in found}
        seconds = {name: float(found["seconds"]) for name, found in ran.items()}
        keys = {name: key for key, name in names.items()}
        outputs = {name: np.load(out / f"{keys[name]}.npy") for name in ran}
        changing = tuple(name for name, found in ran.items() if not found["same_again"])
        versions = {str(name): str(version) for name, version in result["versions"].items()}
        load = result.get("load_seconds")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
        return Run(errors={"": ended or f"its result cannot be read: {type(error).__name__}: {error}"[:_LONGEST]})
    if "load_error" in result:
        errors[""] = str(result["load_error"])
    missing = [name for name in names.values() if name not in about]
    if "" not in errors and missing:
        errors[""] = ended or f"nothing is told of {', '.join(missing)}"
    return Run(versions, load, outputs, seconds, changing, errors)
