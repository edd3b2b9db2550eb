"""Reading centroids from what people keep them in; whatever else a file holds is told."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from aves_artifacts.base.errors import InputError
from aves_convert.weights.centroids import read_centroids

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


def test_arrays_of_every_kind_of_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VALUES.astype(np.float64))
    np.savez(tmp_path / "b.npz", VALUES)
    np.savez_compressed(tmp_path / "c.npz", centroids=VALUES, other=VALUES + 1)
    save_file({"x": VALUES.astype(np.float16), "counts": np.zeros(3)}, tmp_path / "d.safetensors")
    np.save(tmp_path / "e.npy", np.asfortranarray(VALUES))
    for path in sorted(tmp_path.iterdir()):
        found = read_centroids(path, 4)
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, VALUES)


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (VALUES.T, r"no array of that form; expected centroids \[k, 4\]"),
        (VALUES.astype(np.int64), r"int64 \[3, 4\]; expected floating point"),
        (VALUES[:0], r"float32 \[0, 4\]"),
        (VALUES * np.nan, "NaN, infinite"),
        (np.full((1, 4), 1e300), "beyond float32"),
        (np.full((1, 4), 1e25), "their distances are beyond float32"),
        (np.array([[1, None]], object), "cannot read centroids"),
    ],
)
def test_other_arrays_are_told(array: Any, told: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=told):
        read_centroids(tmp_path / "x.npy", 4)


def test_two_arrays_that_could_be_meant_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=VALUES, b=VALUES)
    with pytest.raises(InputError, match=r"2 arrays of that form \(a, b\)"):
        read_centroids(tmp_path / "x.npz", 4)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.safetensors"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=r"cannot read centroids .*it is a pipe or a device"):
        read_centroids(tmp_path / name, 4)


def test_a_header_that_promises_more_than_there_is(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", VALUES)
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content.replace(b"(3, 4), }     ", b"(99999999, 4),}", 1)[: len(content)])
    with pytest.raises(InputError, match="cannot read centroids"):
        read_centroids(tmp_path / "x.npy", 4)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    class Planted:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "km.bin").write_bytes(pickle.dumps(Planted()))
    with pytest.raises(InputError, match=r"write its cluster_centers_ with numpy\.save"):
        read_centroids(tmp_path / "km.bin", 4)
    assert not (tmp_path / "ran").exists()


def test_what_torch_saved_and_what_is_no_array_is_told(tmp_path: Path) -> None:
    torch.save({"centroids": torch.zeros(3, 4)}, tmp_path / "x.pt")
    (tmp_path / "x.txt").write_text("1 2 3 4")
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "x.npz").write_bytes(b"PK\3\4")
    for name in ("x.pt", "x.txt", "x.npy", "x.npz", "absent.npy", "."):
        with pytest.raises(InputError, match=r"expected a \.npy, \.npz or \.safetensors file"):
            read_centroids(tmp_path / name, 4)


def test_an_archive_that_would_fill_the_memory_is_not_unpacked(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("a.npy", "w", force_zip64=True) as stream,
    ):
        for _ in range(1100):
            stream.write(bytes(1 << 20))
    with pytest.raises(InputError, match="unpacks to 1,1"):
        read_centroids(tmp_path / "x.npz", 4)


def test_a_header_that_promises_more_than_there_is_allocates_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", VALUES)
    content = (tmp_path / "whole.npy").read_bytes()
    promising = content.replace(b"(3, 4), }           ", b"(300000000000, 4), }")
    for damaged in (promising, content[:-4], content.replace(b"(3, 4), }", b"(3, 4), (")):
        assert damaged != content
        (tmp_path / "x.npy").write_bytes(damaged)
        with pytest.raises(InputError, match="cannot read centroids"):
            read_centroids(tmp_path / "x.npy", 4)
