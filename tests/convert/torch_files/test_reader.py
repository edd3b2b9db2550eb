"""Files of torch.save in both layouts, whatever was done to them: tensors, or a clear line."""

from __future__ import annotations

import os
import pickle
import struct
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support.pickle_bytes import COMMAND, SYSTEM, checkpoint, name, pickled, reduced, tensor
from tests.support.saved_files import LAYOUTS, SIX, same, saved, written
from tests.support.torch_file_bytes import legacy, torch_zip, with_entries, zip64

from aves_artifacts.base.errors import InputError
from aves_convert.torch_files.reader import open_torch_file, wanted_calls
from aves_convert.torch_files.tensors import LazyTensor


def test_a_pickle_larger_than_any_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, torch_zip(tensor()))
    monkeypatch.setattr("aves_convert.torch_files.reader.MAX_STREAM", 50)
    with pytest.raises(InputError, match=r"data\.pkl is larger"):
        open_torch_file(path)


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path, {"model": SIX, "optimizer": torch.full((1000,), 7.0)})
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack("<20f", *[7.0] * 20))
    content[at + 3] ^= 1
    path.write_bytes(content)

    root: Any = open_torch_file(path).root

    same(root["model"].read(), SIX)
    with pytest.raises(InputError, match="checksum of data/1 is wrong; fetch the file again"):
        root["optimizer"].read()


def test_pickle_protocol_of_the_writer(tmp_path: Path) -> None:
    for layout in LAYOUTS:
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            root: Any = open_torch_file(saved(tmp_path, {"x": SIX}, layout, pickle_protocol=protocol)).root
            same(root["x"].read(), SIX)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.pt: no such file"):
        open_torch_file(tmp_path / "missing.pt")
    with pytest.raises(InputError, match="this is a folder"):
        open_torch_file(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no ordinary file"):
        open_torch_file(tmp_path / "pipe")
    with pytest.raises(InputError, match="cannot read the file"):
        open_torch_file(tmp_path / ("x" * 5000))


@pytest.mark.parametrize(
    "write",
    [torch_zip, legacy, pickled, lambda root: pickle.dumps(1) + pickled(root)],
    ids=["zip", "legacy", "pickle", "second pickle"],
)
def test_wanted_calls(write: Any, tmp_path: Path) -> None:
    path = written(tmp_path, write({"a": reduced(SYSTEM, COMMAND), "b": reduced(name("builtins", "set"), [1])}))

    assert [str(call) for call in wanted_calls(path)] == ["posix.system('touch EXECUTED')", "builtins.set([...])"]


def test_genuine_files_want_nothing_dangerous(tmp_path: Path) -> None:
    for layout in LAYOUTS:
        path = saved(tmp_path, {"a": SIX, "b": torch.nn.Parameter(SIX)}, layout)
        assert {str(call.global_) for call in wanted_calls(path)} == {
            "torch._utils._rebuild_tensor_v2",
            "torch._utils._rebuild_parameter",
            "collections.OrderedDict",
        }


_FILES = [with_entries, partial(with_entries, before_end=zip64), partial(legacy, checkpoint())]


@given(
    content=st.sampled_from([make() for make in _FILES]),
    edits=st.lists(st.tuples(st.integers(0), st.binary(min_size=1, max_size=9)), min_size=1, max_size=4),
    cut=st.integers(0, 9),
)
def test_any_edit_of_a_file_ends_in_tensors_or_a_clear_line(
    content: bytes, edits: list[tuple[int, bytes]], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    edited = bytearray(content)
    for position, replacement in edits:
        at = position % len(edited)
        edited[at : at + len(replacement)] = replacement
    path = tmp_path_factory.getbasetemp() / "edited.pt"
    path.write_bytes(edited[: len(edited) - cut])
    message = ""
    try:
        root = open_torch_file(path).root
        if isinstance(root, dict) and isinstance(root.get("model"), dict):
            for value in root["model"].values():
                if isinstance(value, LazyTensor):
                    assert value.read().nbytes == value.nbytes
    except InputError as error:
        message = str(error)
    assert message.isprintable()
