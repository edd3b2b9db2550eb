"""A package's public names, each imported when it is first asked for: importing a package stays cheap (PEP 562).

Type checkers see ordinary imports under ``if TYPE_CHECKING:`` and nothing of this: a name that a package does not have
is an error to them too.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

_OURS = "aves_"  # how the names of our packages begin


def lazily(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and ``__dir__`` of a package that imports each public name when it is first used.

    ``places``: the module of each name, inside the package; of another package of ours by its whole name.
    """

    def find(name: str) -> Any:
        module = sys.modules[package]
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=module)
        place = places[name] if places[name].startswith(_OURS) else f"{package}.{places[name]}"
        try:
            found = getattr(importlib.import_module(place), name)
        except ModuleNotFoundError as error:
            from aves_artifacts.base.extras import advice

            if told := advice(error, f"{package}.{name}"):
                raise ModuleNotFoundError(told, name=error.name) from error
            raise
        setattr(module, name, found)  # asked for once, and whatever submodule comes later
        return found

    return find, lambda: sorted(places)
