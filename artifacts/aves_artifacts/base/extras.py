"""The extras of this project: what each brings beyond a light install, and what is said where one is missing."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import listed

# extra -> the modules that it brings, by their names in an import; pyproject.toml has the packages
MODULES: Mapping[str, tuple[str, ...]] = {
    "verify": ("torch", "torchaudio", "onnxruntime", "soundfile", "soxr", "matplotlib", "psutil"),
    "fairseq": ("fairseq",),
    "release": ("fsspec", "in_toto_attestation", "securesystemslib", "cryptography"),
    "corpus": ("cattrs", "fsspec", "pyarrow"),
    "dask": ("distributed",),
    "torch-export": ("torch", "torchaudio", "onnxscript"),
    "s3": ("s3fs",),
    "gcs": ("gcsfs",),
    "hub": ("huggingface_hub",),
    "openvino": ("openvino",),
    "transformers": ("transformers",),
}
_MOST_NAMED = 2  # missing modules; the rest is counted


def is_installed(module: str) -> bool:
    """Tell whether a module can be found, without importing it."""
    if module in sys.modules:
        return sys.modules[module] is not None
    return importlib.util.find_spec(module) is not None


def install(*extras: str) -> str:
    """Name the command that installs extras, whatever tool this project itself was installed with."""
    return f"pip install 'aves-ports[{','.join(extras)}]'"


def need(what: str, *extras: str, modules: tuple[str, ...] = ()) -> None:
    """Raise InputError where something of these extras is missing that ``what`` is about to import.

    ``modules``: those that it imports, where it is not all of them.
    """
    brought = dict.fromkeys(module for extra in extras for module in MODULES[extra])
    missing = [module for module in modules or brought if not is_installed(module)]
    if missing:
        lacking = [extra for extra in extras if set(missing) & set(MODULES[extra])]
        raise InputError(_needs(what, missing), hint=ways(*lacking))


def advice(error: ModuleNotFoundError, what: str = "this") -> str:
    """Say what to install where the module that ``what`` lacks belongs to an extra; empty for every other module."""
    module = (error.name or "").partition(".")[0]
    extra = next((extra for extra, modules in MODULES.items() if module in modules), None)
    if extra is None or is_installed(module):
        return ""
    return f"{_needs(what, [module])}; {ways(extra)}"


def _needs(what: str, missing: list[str]) -> str:
    return f"{what} needs {listed(missing, _MOST_NAMED)}, not installed here"


def ways(*extras: str) -> str:
    """Name the commands that install extras: into this environment, or for one run of a clone."""
    return f"{install(*extras)}, or in a clone: uv run {' '.join(f'--extra {extra}' for extra in extras)}"
