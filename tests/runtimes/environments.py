"""Making a client's environment, with uv or npm, in a folder that is thrown away afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

from tests.runtimes.clients import Client
from tests.support.environments import interpreter, plain_environment

# What a client on top of this environment takes from it, whatever its packages ask for.
_KEPT = ("torch", "torchaudio")


@dataclass(frozen=True)
class Environment:
    """How a client's script is called: with this program, and these variables beside the usual ones."""

    program: Path
    variables: dict[str, str] = field(default_factory=dict)


class NoEnvironmentError(Exception):
    """A client's packages cannot be installed."""


def make_environment(client: Client, packages: tuple[str, ...], folder: Path) -> Environment:
    """Make it. Raises NoEnvironmentError, in one line."""
    try:
        if client.npm:
            return _npm(client, packages, folder)
        if client.on_top:
            return _on_top(packages, folder)
        return Environment(plain_environment(folder, *packages, python=interpreter(client.python)))
    except (subprocess.CalledProcessError, OSError) as error:
        raise NoEnvironmentError(f"its packages cannot be installed: {' '.join(packages)}") from error


def _npm(client: Client, packages: tuple[str, ...], folder: Path) -> Environment:
    """Packages of npm; their install scripts are left out, as they would fetch parts for graphics cards."""
    folder.mkdir(parents=True)
    (folder / "package.json").write_text("{}\n")
    options = ("--ignore-scripts", "--no-fund", "--no-audit", "--silent")
    subprocess.run(["npm", "install", *options, *packages], cwd=folder, check=True)
    program = Path(sys.executable) if client.script.endswith(".py") else Path("node")
    return Environment(program, {"CLIENT_PACKAGES": str(folder)})


def _on_top(packages: tuple[str, ...], folder: Path) -> Environment:
    """This project's own environment, and over it these packages with what they need but for torch."""
    if not packages:
        return Environment(Path(sys.executable))
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    python = folder / "bin" / "python"
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "project.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    overrides = folder / "overrides.txt"
    overrides.write_text("".join(f'{name}; python_version < "3"\n' for name in _KEPT))
    command = ["uv", "pip", "install", "--quiet", "--python", str(python), "--override", str(overrides), *packages]
    subprocess.run(command, check=True)
    return Environment(python)


def variables(environment: Environment) -> dict[str, str]:
    """All environment variables of the client's process; nothing of this project is on its path."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "OMP_NUM_THREADS": "2", "PYTHONWARNINGS": "ignore", **environment.variables}
