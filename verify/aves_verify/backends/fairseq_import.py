"""Importing fairseq, the original, on the Python versions that its own sources do not know."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

# Loaded before anything is wrapped, so that the wrapper sees only what fairseq itself brings.
import numpy  # noqa: F401
import torch  # noqa: F401

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.extras import install
from aves_artifacts.base.messages import printable

PATCHED_PACKAGES = frozenset({"fairseq", "hydra", "omegaconf"})
_WITHOUT = "or go on without the original: {backends} torchaudio,onnx"
INSTALL = (
    f"install it with: uv {install('fairseq')} "
    "(pip from 24.1 on refuses the metadata of omegaconf 2.0.6, which it needs; uv does not)"
)


def import_hubert() -> ModuleType:
    """Return the module ``fairseq.models.hubert.hubert``: HubertModel, HubertConfig, HubertPretrainingConfig.

    Takes 2-3 s at the first call. Raises InputError where fairseq is missing or does not import.
    """
    try:
        with old_dataclass_rules(), quiet():
            return importlib.import_module("fairseq.models.hubert.hubert")
    except Exception as error:  # its import runs hundreds of modules of several packages: anything may come out
        _forget_half_imported()
        raise InputError(_explanation(error), hint=_WITHOUT) from error


@contextmanager
def old_dataclass_rules() -> Iterator[None]:
    """Let the dataclasses of fairseq, hydra and omegaconf hold instances of one another as defaults.

    Python 3.11 takes an unhashable default for a mutable one and refuses it (``mutable default ... use
    default_factory``). With ``unsafe_hash`` these instances are hashable, nothing else changes, and no other package
    is touched. ``dataclasses.dataclass`` is itself again when the block ends, also by an error.
    """
    if sys.version_info < (3, 11):
        yield
        return
    original: Any = dataclasses.dataclass

    def dataclass(cls: type | None = None, /, **options: Any) -> Any:
        if cls is not None:
            return original(cls, **_hashable(cls, options))

        def decorate(decorated: type) -> Any:
            return original(decorated, **_hashable(decorated, options))

        return decorate

    wrapped: Callable[..., Any] = dataclass
    dataclasses.dataclass = wrapped
    try:
        yield
    finally:
        dataclasses.dataclass = original


def _hashable(cls: type, options: dict[str, Any]) -> dict[str, Any]:
    """Add unsafe_hash for the classes in question; a frozen dataclass is hashable as it is."""
    if cls.__module__.partition(".")[0] not in PATCHED_PACKAGES or options.get("frozen"):
        return options
    return {**options, "unsafe_hash": True}


@contextmanager
def quiet() -> Iterator[None]:
    """Hide what fairseq logs and warns, and take back the log handler that its import gives the whole process."""
    root = logging.getLogger()
    handlers, level, disabled = root.handlers[:], root.level, root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
        root.setLevel(level)


def _forget_half_imported() -> None:
    """Drop fairseq's modules: a second attempt over the first one's remains would fail for another reason."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "fairseq"]:
        del sys.modules[name]


def _explanation(error: Exception) -> str:
    if sys.version_info >= (3, 13):
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        return (
            f"fairseq 0.12.2 does not import on Python {version} (its antlr4 4.8 needs a module that is gone): "
            "use Python 3.10, 3.11 or 3.12"
        )
    if isinstance(error, ModuleNotFoundError) and error.name == "fairseq":
        return f"fairseq is not installed, and the original runs in nothing else: {INSTALL}"
    lines = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {printable(lines[-1], 300) if lines else 'no message'}"
    return f"fairseq is installed but does not import: {reason}; install it afresh: {INSTALL}"
