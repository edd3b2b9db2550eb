import hashlib
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tests.support.tensors import array

from aves_artifacts.base.errors import InputError
from aves_convert.torch_files.reader import open_torch_file
from aves_convert.torch_files.safetensors_writer import write_safetensors
from aves_convert.torch_files.tensors import LazyTensor
from aves_convert.torch_files.writer import PickledObject, write_torch_file

CONTENTS = {
    "matrix": np.arange(12, dtype=np.float32).reshape(3, 4),
    "scalar": np.array(2.5, np.float32),
    "empty": np.zeros((0, 3), np.float32),
    "half": np.array([1.5, -2.0], np.float16),
    "bfloat16": np.array([[1.5], [-2.0]], ml_dtypes.bfloat16),
    "double": np.array([1e300]),
    "integers": np.arange(5),
    "flags": np.array([True, False]),
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "plain": {
        "numbers": [0, 1, -1, 127, 128, 255, 256, -129, 2**31, -(2**63), 1.5, -0.0],
        "text": "Ä\u20ac",
        3: (None, True, ()),
    },
}


def assert_equal(found: object, expected: object) -> None:
    if isinstance(expected, np.ndarray):
        values = array(found) if isinstance(found, torch.Tensor) else found
        assert isinstance(values, np.ndarray)
        assert (values.dtype, values.shape) == (expected.dtype, expected.shape)
        assert np.array_equal(values, expected)
    elif isinstance(expected, dict):
        assert isinstance(found, dict)
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_equal(found[key], value)
    else:
        assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize("options", [{}, {"mmap": True}])
def test_torch_reads_what_is_written(tmp_path: Path, options: dict[str, bool]) -> None:
    write_torch_file(CONTENTS, tmp_path / "x.pt")
    assert_equal(torch.load(tmp_path / "x.pt", weights_only=True, **options), CONTENTS)


def test_our_own_reader_reads_what_is_written(tmp_path: Path) -> None:
    write_torch_file(CONTENTS, tmp_path / "x.pt")
    root = open_torch_file(tmp_path / "x.pt").root
    assert isinstance(root, dict)
    assert_equal({k: v.read() if isinstance(v, LazyTensor) else v for k, v in root.items()}, CONTENTS)


def test_the_bytes_depend_on_the_contents_alone(tmp_path: Path) -> None:
    program = (
        "import sys, numpy; from pathlib import Path; from aves_convert.torch_files.writer import write_torch_file;"
        "write_torch_file({'a': numpy.arange(3.0), 'b': {'c': 1}}, Path(sys.argv[1]))"
    )
    digests = set()
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.pt"
        subprocess.run([sys.executable, "-c", program, str(path)], check=True, env={"PYTHONHASHSEED": seed})
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_storages_are_aligned_for_mapping(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    write_torch_file(CONTENTS, path)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name_length, extra_length = (
                data[entry.header_offset + 26],
                int.from_bytes(data[entry.header_offset + 28 : entry.header_offset + 30], "little"),
            )
            assert (entry.header_offset + 30 + name_length + extra_length) % 64 == 0
            assert entry.compress_type == zipfile.ZIP_STORED


def test_objects_of_absent_classes_are_written_as_pickle_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    write_torch_file({"o": PickledObject("collections", "UserDict", {"data": {"a": 1}})}, path)
    with zipfile.ZipFile(path) as archive:
        loaded = pickle.loads(archive.read("archive/data.pkl"))
    assert type(loaded["o"]).__name__ == "UserDict"
    assert dict(loaded["o"]) == {"a": 1}


def test_safetensors_have_the_values_however_they_lie_in_memory(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    written = {"turned": values.T, "backwards": values[::-1], "part": values[:, 1:], "scalar": np.float32(3)[...]}
    write_safetensors(written, tmp_path / "x.safetensors")
    read = load_file(tmp_path / "x.safetensors")
    assert read.keys() == written.keys()
    for name, array_ in written.items():
        assert np.array_equal(read[name], array_), name


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="set"):
        write_torch_file({"a": {1}}, tmp_path / "x.pt")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot write here"):
        write_torch_file({}, tmp_path / "file" / "x.pt")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
