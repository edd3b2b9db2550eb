from __future__ import annotations

import gc
import os
import pickle
import struct
import warnings
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.support.hostile_files import (
    COMMAND,
    SIX_FLOATS,
    STORAGE,
    SYSTEM,
    Entry,
    Raw,
    archive,
    checkpoint,
    data_pkl,
    legacy,
    name,
    opcodes,
    pickled,
    reduced,
    storage,
    tensor,
    torch_zip,
    with_entries,
    zip64,
)

from aves_artifacts.base.errors import InputError
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.inspection.identify import inspect
from aves_convert.torch_files import zip_directory
from aves_convert.torch_files.reader import open_torch_file, wanted_calls
from aves_convert.torch_files.tensors import LazyTensor
from aves_convert.torch_files.writer import write_torch_file

DTYPES = [
    *(torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8),
    *(torch.uint8, torch.bool, torch.complex64, torch.complex128),
]
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


def test_zip64(tmp_path: Path) -> None:
    path = written(tmp_path, archive(data_pkl(tensor()), STORAGE, before_end=zip64))

    same(reading(open_torch_file(path).root), SIX)


def test_zip64_sizes_of_an_entry(tmp_path: Path) -> None:
    """As in files above 4 GB, after a field of another kind, which torch.save uses for padding."""
    full, first = 0xFFFFFFFF, data_pkl(tensor())
    offset = 30 + len(first.name) + len(first.content)
    padding = struct.pack("<2H3s", 0x4246, 3, b"ZZZ")
    wide = struct.pack("<2H3Q", 1, 24, 24, 24, offset)
    stored = Entry(STORAGE.name, SIX_FLOATS, packed=full, size=full, offset=full, extra=padding + wide)

    same(reading(open_torch_file(written(tmp_path, archive(first, stored))).root), SIX)


def test_a_pickle_larger_than_any_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, torch_zip(tensor()))
    monkeypatch.setattr("aves_convert.torch_files.reader.MAX_STREAM", 50)
    with pytest.raises(InputError, match=r"data\.pkl is larger"):
        open_torch_file(path)


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


def test_files_without_checksums(tmp_path: Path) -> None:
    path = written(
        tmp_path, archive(Entry("a/data.pkl", pickled(tensor()), crc=0), Entry("a/data/0", SIX_FLOATS, crc=0))
    )

    same(reading(open_torch_file(path).root), SIX)


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


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("made_by", ["script", "trace"])
@pytest.mark.parametrize("packed", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED], ids=["compressed", "stored"])
def test_a_program_of_torchscript_is_named(made_by: str, packed: int, tmp_path: Path) -> None:
    """torch.jit.save compresses the program; a file that went through another tool may be stored."""
    jit: Any = torch.jit
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.GELU())
    jit.save(jit.script(module) if made_by == "script" else jit.trace(module, torch.ones(1, 2)), tmp_path / "jit.pt")
    with zipfile.ZipFile(tmp_path / "jit.pt") as source, zipfile.ZipFile(tmp_path / "x.pt", "w") as copy:
        assert {entry.compress_type for entry in source.infolist()} == {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
        for entry in source.infolist():
            copy.writestr(entry.filename, source.read(entry), packed)

    for path in (tmp_path / "jit.pt", tmp_path / "x.pt"):
        for read in (open_torch_file, wanted_calls, read_checkpoint):
            with pytest.raises(InputError, match=r"this is a TorchScript archive, .*give the \.pt file") as caught:
                read(path)
            assert "\n" not in str(caught.value)
        assert inspect(path).problems == caught.value.problems


def test_a_directory_of_too_many_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, torch_zip(tensor()))
    monkeypatch.setattr(zip_directory, "MAX_ENTRIES", 2)
    with pytest.raises(InputError, match="more than 2 entries"):
        open_torch_file(path)


@pytest.mark.parametrize(
    "write",
    [torch_zip, legacy, pickled, lambda root: pickle.dumps(1) + pickled(root)],
    ids=["zip", "legacy", "pickle", "second pickle"],
)
def test_wanted_calls(write: Any, tmp_path: Path) -> None:
    path = written(tmp_path, write({"a": reduced(SYSTEM, COMMAND), "b": reduced(name("builtins", "set"), [1])}))

    assert [str(call) for call in wanted_calls(path)] == ["posix.system('touch EXECUTED')", "builtins.set([...])"]


def test_tensors_of_other_arguments_stay_records_or_are_refused(tmp_path: Path) -> None:
    third = name("torch._utils", "_rebuild_tensor_v3")
    untyped = storage(numel=24, cls=name("torch.storage", "UntypedStorage"))
    unknown = reduced(third, untyped, 0, (2, 3), (3, 1), False, None, name("torch", "nothing"))

    root: Any = open_torch_file(written(tmp_path, torch_zip([unknown]))).root

    assert repr(root) == "[<record of torch._utils._rebuild_tensor_v3>]"
    with pytest.raises(InputError, match="other arguments"):
        open_torch_file(written(tmp_path, torch_zip(reduced(third, untyped))))


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
