"""Whatever a runtime does in its process, here it is one line, or the numbers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from tests.support.tiny_encoders import TINY

from aves_artifacts.base.errors import InputError
from aves_verify.backends.backend import Embeddings, Given, Implementation, RunError
from aves_verify.backends.separate import SeparateBackend, about, check

WAVEFORM = np.zeros((1, 800), np.float32)


class Misbehaving:
    """An encoder that does what its option says."""

    version = "1"
    gives_layers = True

    def __init__(self, given: Given) -> None:
        self.does = given.options["does"]
        self.problems = ("it is slow",) if self.does == "tells" else ()
        self.settings = {"runs": 0}

    def run(self, waveform: np.ndarray, *, layers: bool = False) -> Embeddings:  # noqa: ARG002
        self.settings["runs"] += 1
        if self.does == "raises":
            raise ZeroDivisionError("one by\nnothing")
        if self.does == "leaves":
            raise SystemExit(3)
        if self.does == "crashes":
            os.abort()
        if self.does == "refuses":
            raise RunError("not this one")
        outputs = {"nothing": {}, "a list": [1], "text": {"final": "text"}, "objects": {"final": np.array([{}])}}
        return outputs.get(self.does, {"final": np.full((1, 2, 3), 7, np.float32)})  # type: ignore[return-value]


def load(given: Given) -> Misbehaving:
    if given.options["does"] == "does not load":
        raise ValueError("no such toy")
    return Misbehaving(given) if given.options["does"] != "returns nothing" else None  # type: ignore[return-value]


def loaded(does: str, package: str = "toymaker") -> SeparateBackend:
    row = Implementation("toy", "torchaudio", f"{__name__}:load", options={"does": "well"}, package=package)
    return SeparateBackend(row, Given(Path(__file__), TINY, {"does": does}))


def test_numbers_come_as_they_are_and_what_is_known_is_asked_anew() -> None:
    backend = loaded("tells")
    assert np.array_equal(backend.run(WAVEFORM)["final"], np.full((1, 2, 3), 7, np.float32))
    known = about(backend)
    assert (known.version, known.gives_layers, known.settings) == ("1", True, {"runs": "1"})
    assert known.problems == ("it is slow",)
    assert (backend.name, backend.kind, backend.version) == ("toy", "onnx", "1")


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("raises", "toy of the package toymaker fails on a waveform [1, 800]: ZeroDivisionError: one by"),
        ("leaves", "fails on a waveform [1, 800]: SystemExit: 3"),
        ("crashes", "toy of the package toymaker does not run a waveform [1, 800] within limits: its process ended"),
        ("refuses", "not this one"),
        ("nothing", "TypeError: expected a mapping of names to arrays, found {...}"),
        ("a list", "TypeError: expected a mapping of names to arrays, found [...]"),
        ("text", "TypeError: expected arrays of numbers by name, found 'text' as 'final'"),
        ("objects", "TypeError: expected arrays of numbers by name, found a ndarray as 'final'"),
    ],
)
def test_a_fault_while_it_runs_is_one_of_the_port(does: str, told: str) -> None:
    backend = loaded(does)
    with pytest.raises(RunError) as caught:
        backend.run(WAVEFORM)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert about(backend).version == "1"  # a process that is gone is not asked


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("does not load", "cannot load it: ValueError: no such toy"),
        ("returns nothing", "returns None, which has no run"),
    ],
)
def test_what_cannot_be_loaded_names_file_and_package(does: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        loaded(does)
    assert str(caught.value).startswith(f"{__file__}: toy of the package toymaker")
    assert told in str(caught.value)


def test_what_cannot_be_imported_is_told_before_any_file_is_made() -> None:
    check(Implementation("toy", "onnx", f"{__name__}:load"), {})
    for make, told in (("no_such_module:load", "No module named 'no_such_module'"), (f"{__name__}:gone", "'gone'")):
        with pytest.raises(InputError, match=f"toy of the package toys cannot be imported: .*{told}"):
            check(Implementation("toy", "onnx", make, package="toys"), {})
