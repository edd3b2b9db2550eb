"""A heads file is told from its header: what is in it, and the command that uses it."""

from pathlib import Path

import pytest
from tests.support.heads import TWO, UNTIED, centroids, checkpoint

from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.inspection.identify import inspect


def test_what_is_in_it_and_what_comes_next(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt", UNTIED, TWO)
    made = make_bundle(Source(path, centroids={1: centroids(tmp_path / "c.npy")}), Target(tmp_path / "b", "x"))
    found = inspect(made.path("heads"))
    assert (found.kind, found.problems) == ("heads of an encoder", ())
    assert found.facts["tensors"]["centroids.layer.1"] == "F32 [7, 24]"
    assert found.facts["label_sets"] == '["km", "phn"]'
    assert found.next is not None
    assert f"--heads {made.path('heads')} --outputs projection" in found.next
    assert inspect(path).facts["projections"] == {"projection.0": 8, "projection.1": 8}


@pytest.mark.parametrize(
    "content", [b"\xff" * 8 + b"{}", b"\2\0\0\0\0\0\0\0{[", b"\x0b\0\0\0\0\0\0\0" + b'{"a": 1}   ']
)
def test_a_damaged_one_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.heads.safetensors").write_bytes(content)
    (problem,) = inspect(tmp_path / "x.heads.safetensors").problems
    assert "a damaged safetensors file" in problem
