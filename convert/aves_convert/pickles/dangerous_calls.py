"""Telling harmless calls in a pickle from those that no checkpoint needs."""

from __future__ import annotations

import sys

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import cut_off
from aves_convert.pickles.command_lines import is_runner
from aves_convert.pickles.records import Call, Global

_MOST_TOLD = 3


def refuse_dangerous(calls: tuple[Call, ...], where: str) -> None:
    """Raise InputError when a stream asks for a call that no checkpoint needs, naming them.

    Classes of other packages (a trainer's own settings, say) are no danger to this reader and stay records.
    """
    dangerous = dangerous_calls(calls)
    if dangerous:
        first, left = cut_off(dangerous, _MOST_TOLD)
        more = f", and {left} more" if left else ""
        raise InputError(
            f"{where}: this file wants to run {', '.join(map(str, first))}{more} when opened; nothing was executed; "
            "do not open it with anything else, and get the checkpoint from its authors"
        )


def dangerous_calls(calls: tuple[Call, ...]) -> list[Call]:
    """Pick out a stream's calls that no checkpoint needs."""
    return [call for call in calls if not _is_harmless_call(call)]


def _is_harmless_call(call: Call) -> bool:
    """A class of a package is harmless to make; one that is called with a command line may run it."""
    if not is_harmless(call.global_):
        return False
    return not call.gives_command or _is_known(call.global_)


def is_harmless(name: Global) -> bool:
    """Whether a genuine checkpoint may call ``name``: for tensors and plain containers, or a class of a package.

    A name with dots leads through what a module imports, out of its package: ``pack.module``'s ``subprocess.Popen``.
    """
    if _is_known(name):
        return True
    root = name.module.partition(".")[0]
    if not all(part.lstrip("_")[:1].isupper() for part in name.name.split(".")) or root in sys.stdlib_module_names:
        return False
    if is_runner(name.module, name.name):
        return False
    # Wherever a file is opened these are there, with classes that write files or open connections.
    return root not in ("torch", "numpy") or f"{name.module}.".startswith(("torch.nn.", "torch.optim."))


def _is_known(name: Global) -> bool:
    """Whether it is one of the few calls of torch, numpy and the standard library that data consists of."""
    if name.name in _HARMLESS.get(name.module, ()):
        return True
    return name.module == "torch._utils" and name.name.startswith("_rebuild_") and name.name.isidentifier()


_NUMBERS = ("bool", "complex", "float", "int")
_CONTAINERS = ("bytearray", "bytes", "dict", "frozenset", "list", "object", "range", "set", "slice", "str", "tuple")
_NUMPY = ("_reconstruct", "scalar")
_PATHS = ("Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath")
# Calls of the standard library, and of functions, that are part of ordinary data.
_HARMLESS: dict[str, tuple[str, ...]] = {
    "_codecs": ("encode",),  # bytes, as protocol 2 writes them
    "argparse": ("Namespace",),
    "array": ("_array_reconstructor", "array"),
    "builtins": (*_NUMBERS, *_CONTAINERS),
    "collections": ("Counter", "OrderedDict", "defaultdict", "deque"),
    "copyreg": ("_reconstructor",),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "numpy": ("dtype", "ndarray"),
    "numpy._core.multiarray": _NUMPY,
    "numpy._core.numeric": ("_frombuffer",),
    "numpy.core.multiarray": _NUMPY,
    "numpy.core.numeric": ("_frombuffer",),
    "numpy.random": ("__RandomState_ctor",),
    "numpy.random._pickle": ("__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor"),
    "pathlib": _PATHS,
    "pathlib._local": _PATHS,
    "random": ("Random",),
    "torch": ("Size", "Tensor", "device"),
    "torch._tensor": ("_rebuild_from_type_v2",),
    "torch.serialization": ("_get_layout",),
    "types": ("GenericAlias", "SimpleNamespace"),
    "uuid": ("UUID",),
}
