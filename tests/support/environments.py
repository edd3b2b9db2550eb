"""Virtual environments that hold other versions than the test's own, and programs that run our code in them."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def make_environment(
    folder: Path,
    *requirements: str,
    python: str = sys.executable,
    options: tuple[str, ...] = (),
    torch_cache: Path | None = None,
) -> Path:
    """An environment with these packages and what else the project needs, but for torch; returns its interpreter.

    ``torch_cache``: the folder through which torch, which is large, is installed before everything else.
    """
    made = _empty_environment(folder, python)
    given = {_package(requirement) for requirement in requirements} | {"torch", "torchaudio"}
    needed = [need for need in importlib.metadata.requires("aves-ports") or () if "extra ==" not in need]
    if torch_cache is not None:
        large = [need for need in requirements if _package(need) in ("torch", "torchaudio", "numpy")]
        _install(made, "--cache-dir", str(torch_cache), *large)
    _install(made, *options, *requirements, *(need for need in needed if _package(need) not in given))
    # Without its requirements: installing those would bring the torch that the project prefers.
    _install(made, "--no-deps", "--editable", str(PROJECT))
    return made


def plain_environment(folder: Path, *requirements: str, python: str = sys.executable) -> Path:
    """An environment with these packages and nothing of the project, in the place of what is there; its interpreter."""
    made = _empty_environment(folder, python)
    _install(made, *requirements)
    return made


def _empty_environment(folder: Path, python: str) -> Path:
    subprocess.run(["uv", "venv", "--quiet", "--clear", "--python", python, str(folder)], check=True)
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def _package(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0].lower()


def interpreter(version: str) -> str:
    """The newest Python of a version such as 3.10 that pyenv keeps; else the version, for uv to find or fetch."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/python")
    return str(max(kept, key=lambda path: path.stat().st_mtime, default=version))


def run_program(python: Path, program: str, *arguments: object, environment: Mapping[str, str] | None = None) -> str:
    """What the program prints there. Fails with what it wrote to stderr."""
    ended = subprocess.run(
        [str(python), "-c", program, *map(str, arguments)],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def _install(python: Path, *arguments: str) -> None:
    command = ["uv", "pip", "install", "--quiet", "--python", str(python), *arguments]
    subprocess.run(command, check=True, cwd=python.parents[1])
