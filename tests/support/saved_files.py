"""Files that torch.save wrote, or that are made byte by byte, and whether what is read of them is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from aves_convert.torch_files.tensors import LazyTensor

LAYOUTS = ("zip", "legacy")
SIX = torch.tensor([[1.0, 2, 3], [4, 5, 6]])


def saved(tmp_path: Path, value: object, layout: str = "zip", **options: Any) -> Path:
    path = tmp_path / "saved.pt"
    torch.save(value, path, _use_new_zipfile_serialization=layout == "zip", **options)
    return path


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "written.pt"
    path.write_bytes(content)
    return path


def reading(value: object) -> NDArray[Any]:
    """The one tensor, read."""
    assert isinstance(value, LazyTensor)
    return value.read()


def same(read: NDArray[Any], original: torch.Tensor) -> None:
    assert read.dtype.name == str(original.dtype).removeprefix("torch.")
    assert read.shape == original.shape
    assert read.flags.c_contiguous
    expected = original.detach().contiguous()
    if read.size:
        assert read.tobytes() == bytes(expected.flatten().view(torch.uint8))
