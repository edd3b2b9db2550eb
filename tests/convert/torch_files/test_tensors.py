"""The values of tensors, bit for bit, however they lie in a file."""

from __future__ import annotations

import gc
import os
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.pickle_bytes import Raw, name, storage, tensor
from tests.support.saved_files import LAYOUTS, SIX, reading, same, saved, written
from tests.support.torch_file_bytes import STORAGE, Entry, archive, data_pkl

from aves_artifacts.base.errors import InputError
from aves_convert.torch_files.reader import open_torch_file
from aves_convert.torch_files.writer import write_torch_file

DTYPES = [
    *(torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8),
    *(torch.uint8, torch.bool, torch.complex64, torch.complex128),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_element_type_is_read_bit_for_bit(dtype: torch.dtype, layout: str, tmp_path: Path) -> None:
    original = (torch.arange(12).reshape(3, 4) % 5).to(dtype)

    file = open_torch_file(saved(tmp_path, {"x": original}, layout))

    assert file.layout == layout
    assert isinstance(file.root, dict)
    lazy = file.root["x"]
    assert (lazy.dtype.name, lazy.shape) == (str(dtype).removeprefix("torch."), (3, 4))
    assert lazy.nbytes == 12 * dtype.itemsize
    same(lazy.read(), original)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint64, torch.float8_e4m3fn], ids=str)
def test_newer_element_types(dtype: torch.dtype, tmp_path: Path) -> None:
    original = torch.arange(6).to(dtype)

    same(reading(open_torch_file(saved(tmp_path, original)).root), original)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_in_memory(layout: str, tmp_path: Path) -> None:
    base = torch.randn(4, 6)
    originals = {
        "transposed": base.t(),
        "part": base[1:3, 2:5],
        "row": base[2],
        "steps": base[::2, ::3],
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 3),
        "negative zero": torch.tensor([-0.0, float("nan"), float("inf")]),
        "parameter": torch.nn.Parameter(base.clone()),
    }

    root: Any = open_torch_file(saved(tmp_path, originals, layout)).root

    assert list(root) == list(originals)
    for key, original in originals.items():
        same(root[key].read(), original)
    assert root["part"].storage is root["row"].storage


def test_big_endian_files(tmp_path: Path) -> None:
    big = Entry("archive/data/0", struct.pack(">6f", 1, 2, 3, 4, 5, 6))
    path = written(tmp_path, archive(data_pkl(tensor()), big, Entry("archive/byteorder", b"big")))

    same(reading(open_torch_file(path).root), SIX)


@pytest.mark.parametrize("root", [tensor((), ()), tensor((1,), (1,)), tensor((3,), (0,))], ids=["0d", "1", "repeated"])
def test_one_element_of_a_big_endian_file(root: Raw, tmp_path: Path) -> None:
    big = Entry("archive/data/0", struct.pack(">6f", 1, 2, 3, 4, 5, 6))
    path = written(tmp_path, archive(data_pkl(root), big, Entry("archive/byteorder", b"big")))

    read = reading(open_torch_file(path).root)
    assert np.all(read == 1)
    assert read.size in (1, 3)


def test_big_endian_complex_numbers(tmp_path: Path) -> None:
    big = Entry("archive/data/0", struct.pack(">6f", 1, 2, 3, 4, 5, 6))
    stored = storage(numel=3, cls=name("torch", "ComplexFloatStorage"))
    root = tensor((3,), (1,), stored=stored)
    path = written(tmp_path, archive(data_pkl(root), big, Entry("archive/byteorder", b"big")))

    same(reading(open_torch_file(path).root), torch.tensor([1 + 2j, 3 + 4j, 5 + 6j]))


def test_an_unaligned_storage_is_copied(tmp_path: Path) -> None:
    for padding in range(4):
        path = written(tmp_path, archive(Entry("x" * (1 + padding), b""), data_pkl(tensor()), STORAGE))
        same(reading(open_torch_file(path).root), SIX)


def test_tensors_outlive_the_file_and_never_change_it(tmp_path: Path) -> None:
    path = saved(tmp_path, SIX)
    before = path.read_bytes()

    read = reading(open_torch_file(path).root)
    gc.collect()
    path.unlink()
    path.write_bytes(before)
    read += 1

    assert read.sum() == SIX.sum() + 6
    assert path.read_bytes() == before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_exactly(dtype: torch.dtype, tmp_path: Path) -> None:
    every = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)

    root: Any = open_torch_file(saved(tmp_path, every)).root

    widened = root.float32()
    assert widened.dtype == np.float32
    assert np.array_equal(widened, every.float().numpy(), equal_nan=True)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_a_signalling_nan_is_read_without_a_warning(dtype: str, tmp_path: Path) -> None:
    bits = {"float64": 0x7FF0000000000001, "float32": 0x7F800001, "float16": 0x7C01}[dtype]
    values = np.array([bits, 0], f"u{np.dtype(dtype).itemsize}").view(dtype)
    write_torch_file(values, tmp_path / "x.pt")
    root: Any = open_torch_file(tmp_path / "x.pt").root
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(root.float32()).tolist() == [True, False]


def test_float64_is_narrowed_only_where_nothing_is_lost(tmp_path: Path) -> None:
    exact = torch.tensor([1.5, -0.0, float("nan"), float("inf")], dtype=torch.float64)
    root: Any = open_torch_file(saved(tmp_path, exact)).root
    assert np.array_equal(root.float32(), exact.float().numpy(), equal_nan=True)

    for value in (0.1, 1e300, torch.finfo(torch.float64).max, 1e-60):
        root = open_torch_file(saved(tmp_path, torch.tensor([value], dtype=torch.float64))).root
        with pytest.raises(InputError, match="float64 with values that float32 cannot hold"):
            root.float32()


def test_integers_are_no_weights(tmp_path: Path) -> None:
    root: Any = open_torch_file(saved(tmp_path, torch.arange(3))).root
    with pytest.raises(InputError, match="int64, expected floating-point"):
        root.float32()


def test_a_few_values_repeated_many_times_are_not_unfolded(tmp_path: Path) -> None:
    path = saved(tmp_path, torch.ones(1).expand(10**15))

    root: Any = open_torch_file(path).root
    with pytest.raises(InputError, match="repeats the 1 values"):
        root.read()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_is_cut_off_meanwhile_is_told(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save({"w": torch.ones(100_000)}, path, _use_new_zipfile_serialization=zipped)
    opened = open_torch_file(path)
    os.truncate(path, 100_000)
    with pytest.raises(InputError, match=r"x\.pt: became shorter while it was read"):
        opened.root["w"].read()  # type: ignore[index]
