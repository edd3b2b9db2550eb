"""Checking by its bytes that a download is the kind of file that was wanted: a server may send an error page."""

from __future__ import annotations

import errno
import struct
import zipfile
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import printable, quoted, reason_of
from aves_artifacts.configurations.catalog import PublishedRole
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.documents import open_file
from aves_artifacts.files.file_bytes import FileBytes
from aves_artifacts.files.protobuf_fields import Fields

# How torch.save began a file before it wrote zip archives: protocol 2, then MAGIC_NUMBER of torch/serialization.py.
_LEGACY_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
# What zipfile raises; NotImplementedError, for flags and versions that it does not know, is a RuntimeError.
_DAMAGED = (zipfile.BadZipFile, EOFError, ValueError, RuntimeError, OverflowError, struct.error)
_ZIP = b"PK\x03\x04"

# Fields of ModelProto in onnx.proto: their numbers, and those that every model has (ir_version, graph, opset_import).
_MODEL_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
_MODEL_NEEDS = frozenset({1, 7, 8})


def content_problem(path: Path, role: PublishedRole, dimension: int) -> str:
    """Tell why a file cannot be what ``role`` says, for an encoder of this dimension; an empty text where it can.

    A torch archive is read to its end against its own checksums. Costs about a second for each gigabyte.
    """
    with open_file(path) as stream:
        head = stream.read(512)
    if not head:
        return "it is empty"
    if head.lstrip().startswith(b"<"):
        return f"it is an HTML or XML page, which begins {quoted(_beginning(head))}"
    if role == "config":
        return _config_problem(path, dimension)
    return _onnx_problem(path) if role == "onnx" else _torch_problem(path, head)


def _torch_problem(path: Path, head: bytes) -> str:
    if head.startswith(_LEGACY_TORCH):
        return ""  # holds no checksum and no end mark
    if not head.startswith(_ZIP):
        return f"it is no file of torch.save: it begins {quoted(_beginning(head))}"
    try:
        with open_file(path) as stream, zipfile.ZipFile(stream) as archive:
            records = archive.infolist()
            if not any(record.filename.endswith("/data.pkl") for record in records):
                return "it is a zip archive that torch.save did not write"
            if any(record.compress_type != zipfile.ZIP_STORED or record.flag_bits & 1 for record in records):
                return "it is a compressed or encrypted zip archive, which torch.save does not write"
            if sum(record.file_size for record in records) > path.stat().st_size:
                return "it is a damaged zip archive: its records hold more than the file"  # one lies within another
            damaged = archive.testzip()
    except _DAMAGED as error:
        return f"it is a damaged or truncated zip archive: {reason_of(error)}"
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place before the beginning of the file
            raise
        return "it is a damaged or truncated zip archive"
    return f"it is damaged: the record {printable(damaged)} fails its CRC-32" if damaged else ""


def _config_problem(path: Path, dimension: int) -> str:
    try:
        config = EncoderConfig.read(path)
    except InputError as error:
        return "; ".join(problem.removeprefix(f"{path}: ") for problem in error.problems)
    if config.encoder_embed_dim != dimension:
        return f"it is the config of another model: dimension {config.encoder_embed_dim}, expected {dimension}"
    return ""


def _onnx_problem(path: Path) -> str:
    """Walk over the outermost fields: reading the graph itself would take several times the file in memory."""
    data = FileBytes(path)
    try:
        found = {number for _, number, _, _ in Fields(data).within(0, len(data))}
    except ValueError as error:
        return f"it is no ONNX model, or a damaged or truncated one: {reason_of(error)}"
    return "" if _MODEL_NEEDS <= found <= _MODEL_FIELDS else "it is no ONNX model, or a damaged or truncated one"


def _beginning(head: bytes) -> str:
    return head[:40].decode("latin-1")
