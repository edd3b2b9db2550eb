"""Weights that torch would load, and that take more than their file: refused before torch sees them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.support.damage import compress
from tests.support.pickle_bytes import name, pickled, reduced
from tests.support.torch_file_bytes import torch_zip

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.weights import read_state_dict


def _compressed(path: Path) -> None:
    torch.save({"w": torch.zeros(1000, 1000)}, path)
    compress(path)


def _encrypted(path: Path) -> None:
    """Says that its entries are, in the directory alone."""
    torch.save({"w": torch.zeros(3)}, path)
    content = bytearray(path.read_bytes())
    at = -1
    while (at := content.find(b"PK\x01\x02", at + 1)) >= 0:
        content[at + 8] |= 1
    path.write_bytes(content)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "compressed": (_compressed, "it is compressed, which torch.save never does"),
    "an array of any size": (
        lambda path: path.write_bytes(torch_zip({"w": reduced(name("builtins", "bytearray"), 10**9)})),
        "something else than a state dict: builtins.bytearray",
    ),
    "encrypted": (_encrypted, r"no file that torch.save wrote \(File .* is encrypted"),
    "not a zip": (lambda path: path.write_bytes(pickled({"w": 1})), "no file that torch.save wrote"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_torch_never_sees_it(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, told = HOSTILE[kind]
    make(tmp_path / "x.pt")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was given to torch"))
    with pytest.raises(InputError, match=told):
        read_state_dict(tmp_path / "x.pt")


def test_a_plain_state_dict(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2, dtype=torch.float16), "p": torch.nn.Parameter(torch.ones(3))}, tmp_path / "x.pt")
    assert {key: tensor.dtype for key, tensor in read_state_dict(tmp_path / "x.pt").items()} == {
        "w": "float16",
        "p": "float32",
    }
