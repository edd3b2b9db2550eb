"""Small files of the kinds that are published, and a catalogue that has them on a local server."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import numpy as np
import onnx
from tests.support.documents import BASE
from tests.support.servers.misbehaving_server import Server

from aves_artifacts.configurations.catalog import Configuration, catalog
from aves_artifacts.configurations.store import place

NAME = "owls"
CATALOG = """
address = "{address}"
[owls]
file_name = "owls-base"
dimension = 768
[owls.files]
original = "owls.pt"
torchaudio = "owls.torchaudio.pt"
config = "owls.json"
onnx = "owls.onnx"
"""


def torch_file(seed: int, size: int = 300_000) -> bytes:
    """What torch.save writes: a zip archive of stored records."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), b"\x80\x02}.")
        archive.writestr(zipfile.ZipInfo("archive/data/0"), random.Random(seed).randbytes(size))  # noqa: S311
    return buffer.getvalue()


def onnx_file(seed: int) -> bytes:
    weights = np.random.default_rng(seed).standard_normal((100, 100)).astype(np.float32)
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [100])
    node = onnx.helper.make_node("MatMul", ["w", "x"], ["y"])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [100])
    graph = onnx.helper.make_graph([node], "g", [value], [result], [onnx.numpy_helper.from_array(weights, "w")])
    return onnx.helper.make_model(graph).SerializeToString()


def publish(server: Server, folder: Path) -> Path:
    """Put four files on the server; return a catalogue of them, for $AVES_CATALOG."""
    server.files |= {
        "/owls.pt": torch_file(1),
        "/owls.torchaudio.pt": torch_file(2),
        "/owls.json": BASE.to_json().encode(),
        "/owls.onnx": onnx_file(3),
    }
    path = folder / "catalog.toml"
    path.write_text(CATALOG.format(address=server.address))
    return path


def owls() -> Configuration:
    return catalog()[NAME]


def original() -> Path:
    return place(owls(), "original")


def is_innocent(path: Path) -> bool:
    """Whether nobody and no command takes the file for a published one."""
    return path.name.startswith(".") or path.name.endswith((".part", ".part.json")) or path.name == "aves.lock.json"
