"""safetensors files are read bit for bit and late; a header that is not the file's is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from aves_artifacts.base.errors import InputError
from aves_convert.torch_files.safetensors_reader import open_safetensors


def written(tmp_path: Path, header: object, data: bytes = bytes(24), *, size: int | None = None) -> Path:
    """A file with this header; ``size`` is what is said of it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes((len(text) if size is None else size).to_bytes(8, "little") + text + data)
    return path


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24], **changes}


@pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
     torch.uint8, torch.bool],
)  # fmt: skip
def test_every_type_is_read_as_it_is(dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = {
        "scalar": torch.tensor(1).to(dtype),
        "empty": torch.zeros(0, 3).to(dtype),
        "cube": torch.arange(24).reshape(2, 3, 4).to(dtype),
    }
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    found = open_safetensors(tmp_path / "x.safetensors")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        read = found[name].read()
        assert (read.dtype.name, read.shape) == (str(dtype).removeprefix("torch."), tensor.shape)
        assert read.tobytes() == tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


def test_float16_is_widened_exactly(tmp_path: Path) -> None:
    tensor = torch.randn(50, generator=torch.Generator().manual_seed(0)).half()
    save_file({"x": tensor}, tmp_path / "x.safetensors")
    assert np.array_equal(open_safetensors(tmp_path / "x.safetensors")["x"].float32(), tensor.float().numpy())


def test_the_order_is_the_headers(tmp_path: Path) -> None:
    path = written(tmp_path, {"b": entry(), "a": entry(data_offsets=[24, 48])}, bytes(range(48)))
    found = open_safetensors(path)
    assert list(found) == ["b", "a"]
    assert found["a"].read().tobytes() == bytes(range(24, 48))


DAMAGED: dict[str, tuple[object, bytes]] = {
    "truncated": ({"x": entry()}, bytes(23)),
    "more than the tensors": ({"x": entry()}, bytes(25)),
    "offsets that overlap": ({"x": entry(), "y": entry(data_offsets=[12, 36])}, bytes(36)),
    "the same bytes twice": ({"x": entry(), "y": entry()}, bytes(24)),
    "a gap": ({"x": entry(), "y": entry(data_offsets=[36, 60])}, bytes(60)),
    "backwards": ({"x": entry(data_offsets=[24, 0])}, bytes(24)),
    "another shape": ({"x": entry(shape=[2, 4])}, bytes(24)),
    "a huge shape": ({"x": entry(shape=[2**40, 2**40])}, bytes(24)),
    "a negative shape": ({"x": entry(shape=[-2, -3])}, bytes(24)),
    "an unknown type": ({"x": entry(dtype="F3")}, bytes(24)),
    "a name twice": (b'{"x": %b, "x": %b}' % ((json.dumps(entry()).encode(),) * 2), bytes(24)),
    "deep": (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b""),
    "a list": ([], b""),
    "no JSON": (b"{", b""),
    "no UTF-8": (b'{"\xff": 1}', b""),
    "nothing": (b"", b""),
    "metadata of numbers": ({"__metadata__": {"a": 1}, "x": entry()}, bytes(24)),
}


@pytest.mark.parametrize(("header", "data"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_one_line(header: object, data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.safetensors: a damaged safetensors file \(.*fetch it again") as raised:
        open_safetensors(written(tmp_path, header, data))
    (problem,) = raised.value.problems
    assert problem.isprintable()
    assert len(problem) < 1000


@pytest.mark.parametrize("size", [9 << 20, 5 << 30, 2**63, 2**64 - 1])
def test_a_header_of_gigabytes_is_not_read(size: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"a header of {size:,} bytes"):
        open_safetensors(written(tmp_path, {"x": entry()}, size=size))


@pytest.mark.parametrize("content", [b"", b"\x08", bytes(8), b"\x01\0\0\0\0\0\0\0"])
def test_short_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.safetensors: "):
        open_safetensors(path)


def test_types_that_no_encoder_has(tmp_path: Path) -> None:
    path = written(tmp_path, {"x": entry(dtype="U16", shape=[12])})
    with pytest.raises(InputError, match="'x' is of type 'U16', expected numbers"):
        open_safetensors(path)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.safetensors: cannot read the file"):
        open_safetensors(tmp_path / "x.safetensors")
