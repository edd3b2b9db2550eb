"""Virtual environments that hold other versions than the test's own, and programs that run our code in them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def make_environment(
    folder: Path,
    *requirements: str,
    python: str = sys.executable,
    extras: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
    torch_cache: Path | None = None,
) -> Path:
    """An environment with these packages and what else the project and these extras need, but for torch.

    ``torch_cache``: the folder through which torch, which is large, is installed before everything else. Returns the
    interpreter.
    """
    made = _empty_environment(folder, python)
    given = {_package(requirement) for requirement in requirements} | {"torch", "torchaudio"}
    needed = dict.fromkeys(_needed(extras))
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


def _needed(extras: tuple[str, ...]) -> Iterator[str]:
    """What the project needs, by its settings: an installed one may be of yesterday."""
    yield from SETTINGS["dependencies"]
    for extra in extras:
        yield from SETTINGS["optional-dependencies"][extra]


def _package(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0].lower()


def directory_size(folder: Path) -> int:
    """What a folder takes on disk, in bytes; a file with several names counts once."""
    sizes = {}
    for path, _, names in os.walk(folder):
        for name in names:
            status = (Path(path) / name).lstat()
            sizes[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(sizes.values())


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
