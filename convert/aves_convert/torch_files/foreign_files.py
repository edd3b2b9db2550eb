"""Telling from its bytes what a file is that is no checkpoint, and what to do about it."""

from __future__ import annotations

from typing import NoReturn

from aves_artifacts.base.errors import InputError
from aves_convert.pickles.reader import Bytes

# (position, bytes, what it is and what to do)
_KINDS: tuple[tuple[int, bytes, str], ...] = (
    (
        0,
        b"version https://git-lfs",
        "a git-lfs pointer, not the file it stands for; run `git lfs pull` or download the file",
    ),
    (0, b"\x1f\x8b", "compressed with gzip; unpack it with `gunzip` first"),
    (0, b"BZh", "compressed with bzip2; unpack it first"),
    (0, b"\xfd7zXZ\x00", "compressed with xz; unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (0, b"\x93NUMPY", "a numpy array, not a checkpoint; give the fairseq .pt file"),
    (0, b"\x89HDF\r\n", "an HDF5 file, not a checkpoint; give the fairseq .pt file"),
    (0, b"GGUF", "a GGUF file, not a checkpoint; give the fairseq .pt file"),
    (0, b"RIFF", "an audio file, not a checkpoint; give the fairseq .pt file"),
    (0, b"fLaC", "an audio file, not a checkpoint; give the fairseq .pt file"),
    (257, b"ustar", "a tar archive; unpack it and give the .pt file inside"),
)
TORCHSCRIPT = (
    "a TorchScript archive, which holds a program instead of a checkpoint; "
    "give the .pt file that fairseq's trainer wrote"
)
# Names that torch.jit.save puts into the directory of its archive, which are the last bytes of the file.
_PROGRAM, _DIRECTORY = (b"/constants.pkl", b"/code/__torch__"), 1 << 20
_HTML = (b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--")


def refuse_foreign(data: Bytes, where: str) -> None:
    """Raise InputError when the first bytes tell what the file is instead of a checkpoint."""
    for position, magic, what in _KINDS:
        if data[position : position + len(magic)] == magic:
            _refuse(where, what)
    head = data[:1024]
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_HTML):
        _refuse(where, "a web page saved under this name, not the checkpoint; fetch it again from its download link")
    if len(data) > 16 and data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8:
        _refuse(where, "a safetensors file, not a fairseq checkpoint; give the .pt file that fairseq wrote")
    if text.startswith((b"{", b"[")) and _is_text(head):
        _refuse(where, "a JSON file, not a checkpoint; give the .pt file")
    if not data[: 1 << 16].strip(b"\0"):
        _refuse(where, "empty space, not a checkpoint: the download is incomplete; fetch it again")
    if _is_text(head):
        _refuse(where, "a text file, not a checkpoint; give the .pt file")


def refuse_torchscript(data: Bytes, where: str) -> None:
    """Raise InputError for what torch.jit.save wrote: compressed archives, which the zip reader would call damaged."""
    directory = data[-_DIRECTORY:]
    if all(name in directory for name in _PROGRAM):
        _refuse(where, TORCHSCRIPT)


def _is_text(head: bytes) -> bool:
    return not any(byte < 9 or 13 < byte < 32 for byte in head)


def _refuse(where: str, what: str) -> NoReturn:
    raise InputError(f"{where}: this is {what}")
