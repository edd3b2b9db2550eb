"""The public API: what it is, that importing it is cheap, and that its names stay what they are."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FACES = {
    "aves_artifacts": {
        "EncoderConfig", "Bundle", "Manifest", "read_bundle", "check_bundle", "catalog", "Fetcher", "InputError",
        "DoesNotHoldError",
    },
    "aves_convert": {
        "inspect", "read_checkpoint", "to_torchaudio", "write_graph", "make_bundle", "fairseq_to_onnx",
        "torchaudio_to_onnx", "read_state_dict", "load_model", "Source", "Target", "Terms", "OnnxOptions", "Heads",
        "fairseq_to_heads", "read_heads", "fairseq_to_transformers", "Search", "Bounds",
    },
    "aves_verify": {
        "Clip", "read_clips", "reference_signals", "of_bundle", "verify", "Plan", "compare", "Comparison", "Tolerance",
        "Report", "to_json", "Implementation", "Given", "Encoder", "RunError", "make_parts", "Recipe", "Made", "Shard",
        "Crew", "Cutting", "Unreadable", "windows_or_reasons", "StoreError", "Subject",
        "corpus_report",
    },
}  # fmt: skip
HEAVY = {"torch", "torchaudio", "onnx", "onnxruntime", "fairseq", "matplotlib", "transformers"}
NEEDS_ONE = {"load_model", "write_graph", "verify"}  # which import it with themselves
NAMES = [(face, name) for face, names in FACES.items() for name in sorted(names)]


def loaded_by(program: str) -> Any:
    """What a fresh interpreter prints as JSON after a program."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("face", FACES)
def test_the_list_is_what_it_is(face: str) -> None:
    module = importlib.import_module(face)
    assert len(module.__all__) == len(FACES[face])
    assert set(module.__all__) == set(dir(module)) == FACES[face]


@pytest.mark.parametrize("face", FACES)
def test_type_checkers_see_what_there_is(face: str) -> None:
    module = importlib.import_module(face)
    shown = _type_checking_imports(module)
    assert set(shown) == FACES[face]
    for name, place in shown.items():
        assert getattr(module, name) is getattr(importlib.import_module(place), name)


def _type_checking_imports(module: ModuleType) -> dict[str, str]:
    """Name -> module, of the imports that type checkers alone see."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    return {
        alias.name: str(node.module) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }


@pytest.mark.parametrize("face", FACES)
def test_importing_a_face_loads_nothing_heavy(face: str) -> None:
    found = loaded_by(f"import sys, json, {face}; dir({face}); print(json.dumps(sorted(sys.modules)))")
    assert not HEAVY & set(found)
    assert (
        not {name for name in found if name.startswith("aves_")}
        - {*FACES, "aves_artifacts.base.faces"}
        - {"aves_artifacts.base"}
    )


@pytest.mark.slow
@pytest.mark.parametrize(("face", "name"), [pair for pair in NAMES if pair[1] not in NEEDS_ONE])
def test_a_name_brings_nothing_heavy_before_it_is_called(face: str, name: str) -> None:
    assert not HEAVY & set(loaded_by(f"import sys, json; from {face} import {name}; print(json.dumps([*sys.modules]))"))


@pytest.mark.slow
def test_every_name_can_be_taken_and_is_the_same_after_every_module_was_imported() -> None:
    """A submodule of a name's own name would take its place."""
    program = """
import importlib, json, pkgutil, sys, types
faces = {face: importlib.import_module(face) for face in %r}
def names(): return {(face, name): getattr(module, name) for face, module in faces.items() for name in module.__all__}
for face, module in faces.items():  # first the modules: a face has handed out nothing yet that could hide one
    for found in pkgutil.walk_packages(module.__path__, f"{face}."):
        if found.name.rpartition(".")[2] != "__main__":
            importlib.import_module(found.name)
taken = names()
wrong = [name for name, value in taken.items() if isinstance(value, types.ModuleType)]
again = [key for key, value in names().items() if value is not taken[key]]
for face in faces:
    exec(f"from {face} import *", scope := {})
    wrong += [key for key, value in taken.items() if key[0] == face and scope[key[1]] is not value]
print(json.dumps([len(taken), wrong, again]))
"""
    assert loaded_by(program % (list(FACES),)) == [len(NAMES), [], []]


@pytest.mark.parametrize(("face", "name"), NAMES)
def test_every_name_has_a_docstring_of_its_own(face: str, name: str) -> None:
    found = getattr(importlib.import_module(face), name)
    assert found.__doc__
    assert not found.__doc__.startswith(f"{name}("), "the signature that a dataclass without one gets"
    assert found.__doc__.strip().splitlines()[0].endswith(".")
