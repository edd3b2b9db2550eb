"""Tensors from the calls that a pickle describes: every kind that torch has written, and what stays a record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.pickle_bytes import Raw, name, opcodes, reduced, storage, tensor
from tests.support.saved_files import SIX, reading, same, saved, written
from tests.support.torch_file_bytes import legacy, torch_zip

from aves_artifacts.base.errors import InputError
from aves_convert.torch_files.reader import open_torch_file


def test_a_parameter_with_attributes(tmp_path: Path) -> None:
    parameter = torch.nn.Parameter(SIX.clone())
    parameter.expert = True  # type: ignore[attr-defined]
    plain = SIX.clone()
    plain.note = "x"  # type: ignore[attr-defined]

    root: Any = open_torch_file(saved(tmp_path, [parameter, plain])).root

    same(root[0].read(), SIX)
    same(root[1].read(), SIX)


def test_tensors_of_unknown_kinds_stay_records(tmp_path: Path) -> None:
    sparse = torch.eye(3).to_sparse()

    root: Any = open_torch_file(saved(tmp_path, {"sparse": sparse, "dense": SIX})).root

    assert repr(root["sparse"]) == "<record of torch._utils._rebuild_sparse_tensor>"
    same(root["dense"].read(), SIX)


@pytest.mark.parametrize("location", ["cuda:0", "xla:1", "mps", "cpu", "anything"])
def test_where_a_tensor_was_does_not_matter(location: str, tmp_path: Path) -> None:
    path = written(tmp_path, torch_zip(tensor(stored=storage(location=location))))

    same(reading(open_torch_file(path).root), SIX)


def test_old_cuda_storage_and_oldest_function(tmp_path: Path) -> None:
    stored = storage(cls=name("torch.cuda", "FloatStorage"))
    root = reduced(name("torch._utils", "_rebuild_tensor"), stored, 0, (2, 3), (3, 1))

    same(reading(open_torch_file(written(tmp_path, torch_zip(root))).root), SIX)


def test_a_view_of_a_legacy_storage(tmp_path: Path) -> None:
    view = Raw(opcodes(("storage", name("torch", "FloatStorage"), "0", "cpu", 6, ("view", 2, 4))) + b"Q")

    same(
        reading(open_torch_file(written(tmp_path, legacy(tensor((2,), (2,), 1, stored=view)))).root),
        SIX.flatten()[3::2],
    )


def test_a_view_of_an_untyped_legacy_storage(tmp_path: Path) -> None:
    """The view counts the storage's elements, which are bytes, the tensor its own."""
    cls, third = name("torch.storage", "UntypedStorage"), name("torch._utils", "_rebuild_tensor_v3")
    view = Raw(opcodes(("storage", cls, "0", "cpu", 24, ("view", 8, 16))) + b"Q")
    root = reduced(third, view, 1, (3,), (1,), False, None, name("torch", "float32"))

    same(reading(open_torch_file(written(tmp_path, legacy(root, numel=24))).root), SIX.flatten()[3:])


def test_tensors_of_other_arguments_stay_records_or_are_refused(tmp_path: Path) -> None:
    third = name("torch._utils", "_rebuild_tensor_v3")
    untyped = storage(numel=24, cls=name("torch.storage", "UntypedStorage"))
    unknown = reduced(third, untyped, 0, (2, 3), (3, 1), False, None, name("torch", "nothing"))

    root: Any = open_torch_file(written(tmp_path, torch_zip([unknown]))).root

    assert repr(root) == "[<record of torch._utils._rebuild_tensor_v3>]"
    with pytest.raises(InputError, match="other arguments"):
        open_torch_file(written(tmp_path, torch_zip(reduced(third, untyped))))
