"""Reading files of ``torch.save``: the object inside, inert, with its tensors as references into the file.

A tensor's bytes are read when ``LazyTensor.read`` is called, and no earlier. Every tensor holds the open file, so there
is nothing to close; it is closed with the last of them.
Follows ``torch/serialization.py`` (``_save``, ``_legacy_load``) and ``torch/_utils.py`` (``_rebuild_tensor_v2``).
"""

from __future__ import annotations

import stat
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import printable, quoted, reason_of
from aves_artifacts.files.file_bytes import FileBytes
from aves_convert.pickles.dangerous_calls import refuse_dangerous
from aves_convert.pickles.reader import MAX_STREAM, read_pickle, scan_pickle
from aves_convert.pickles.records import Call, Global
from aves_convert.torch_files.foreign_files import TORCHSCRIPT, refuse_foreign, refuse_torchscript
from aves_convert.torch_files.rebuilding import REBUILD, Storages, is_key
from aves_convert.torch_files.tensors import LazyTensor, OpenFile
from aves_convert.torch_files.zip_directory import LOCAL, Extent, read_zip_directory

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


@dataclass(frozen=True, eq=False)
class TorchFile:
    """A file of ``torch.save`` that was opened; ``root`` is the object inside.

    The object is of dicts, lists, tuples, numbers, strings, ``LazyTensor`` and ``Record``. ``calls`` is every class or
    function that opening the file with pickle would call; ``size`` is in bytes.
    """

    path: Path
    layout: Literal["zip", "legacy"]
    root: object
    calls: tuple[Call, ...]
    size: int

    def refuse_repeated(self, tensors: Iterable[LazyTensor]) -> None:
        """Raise InputError where ``tensors`` share so many bytes that reading all takes more than the file's size."""
        if sum(tensor.nbytes for tensor in tensors) > self.size:
            raise InputError(
                f"{self.path}: its tensors claim more bytes than the file has; save it without shared storages"
            )


def open_torch_file(path: Path) -> TorchFile:
    """Read the structure of a file of ``torch.save``; no tensor is read, nothing in it is executed.

    Raises InputError for what is missing, truncated, damaged, of another kind, or wants to run something.
    """
    data = _opened(path)
    if data[:4] == LOCAL:
        opened = _open_zip(path, data)
    else:
        end = _end_of_magic(data)
        opened = _open_legacy(path, data, end) if end else _refuse_other(path, data)
    refuse_dangerous(opened.calls, str(path))
    return opened


def wanted_calls(path: Path) -> tuple[Call, ...]:
    """List every class or function that opening a file with pickle would call, as far as it can be read.

    Raises InputError where the file cannot be opened.
    """
    data = _opened(path)
    if data[:4] == LOCAL:
        pickled = _zip_pickle(_zip_entries(data, str(path)), str(path))[1]
        return scan_pickle(data, start=pickled.start)[0]
    calls: dict[tuple[Global, bool], Call] = {}
    start = 0
    for _ in range(_LEGACY_PICKLES):
        found, end = scan_pickle(data, start=start)
        calls = {(call.global_, call.gives_command): call for call in found} | calls
        if end is None or end >= len(data):
            break
        start = end
    return tuple(calls.values())


def _opened(path: Path) -> FileBytes:
    """The file. Raises InputError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            what = "a folder" if path.is_dir() else "no ordinary file"
            raise InputError(f"{path}: this is {what}; give the checkpoint file itself")
        data = FileBytes(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read the file: {reason_of(error)}") from None
    if not len(data):
        raise InputError(f"{path}: the file is empty; fetch it again")
    return data


def _open_zip(path: Path, data: FileBytes) -> TorchFile:
    where = str(path)
    entries = _zip_entries(data, where)
    prefix, pickled = _zip_pickle(entries, where)
    if pickled.size > MAX_STREAM:
        raise InputError(f"{where}: data.pkl is larger than that of any checkpoint; give the .pt file of fairseq")
    content = _content(data, pickled)
    if pickled.crc and zlib.crc32(content) != pickled.crc:
        raise InputError(f"{where}: damaged: the checksum of data.pkl is wrong; fetch the file again")
    folder = f"{prefix}data/"
    extents = {name.removeprefix(folder): extent for name, extent in entries.items() if name.startswith(folder)}
    storages = Storages(OpenFile(path, data, extents, big_endian=_is_big_endian(data, entries, prefix, where)))
    loaded = read_pickle(content, f"{where}, data.pkl", persistent=storages.load, rebuild=REBUILD)
    return TorchFile(path, "zip", loaded.root, loaded.calls, len(data))


def _zip_entries(data: FileBytes, where: str) -> dict[str, Extent]:
    """The archive's entries. Raises InputError where it is damaged, or TorchScript."""
    refuse_torchscript(data, where)
    return read_zip_directory(data, where)


def _zip_pickle(entries: Mapping[str, Extent], where: str) -> tuple[str, Extent]:
    """The archive's name with its slash, and where its pickle lies. Raises InputError for other archives."""
    found = [name for name in entries if name == "data.pkl" or (name.count("/") == 1 and name.endswith("/data.pkl"))]
    if len(found) > 1:
        raise InputError(f"{where}: two checkpoints in one archive; unpack it and give one of them")
    if not found:
        inside = [name for name in entries if name.endswith((".pt", ".pth", ".bin"))]
        advice = (
            f"it contains {printable(inside[0])}: unpack it first" if inside else "give the .pt file that fairseq wrote"
        )
        raise InputError(f"{where}: a zip archive that torch.save did not write (it has no data.pkl); {advice}")
    prefix = found[0].removesuffix("data.pkl")
    if f"{prefix}constants.pkl" in entries or any(name.startswith(f"{prefix}code/") for name in entries):
        raise InputError(f"{where}: this is {TORCHSCRIPT}")
    return prefix, entries[found[0]]


def _is_big_endian(data: FileBytes, entries: Mapping[str, Extent], prefix: str, where: str) -> bool:
    """Whether another machine's byte order was used; files from before torch 2.1 do not say and are little-endian."""
    extent = entries.get(f"{prefix}byteorder")
    order = b"little" if extent is None else data[extent.start : extent.start + min(extent.size, 16)]
    if order not in (b"little", b"big"):
        raise InputError(f"{where}: damaged: the byte order is {quoted(order)}, expected little or big")
    return order == b"big"


def _content(data: FileBytes, extent: Extent) -> bytes:
    return data[extent.start : extent.start + extent.size]


_LEGACY_PICKLES = 5  # magic number, protocol, system, the object, the keys of its storages


def _end_of_magic(data: FileBytes) -> int | None:
    """The end of the magic number that legacy files begin with, None in other files."""
    try:
        first = read_pickle(data[:64], "")
    except InputError:
        return None
    return first.end if type(first.root) is int and first.root == _MAGIC else None


def _open_legacy(path: Path, data: FileBytes, start: int) -> TorchFile:
    """The format before torch 1.6: five pickles, then for every storage its number of elements and its bytes."""
    where = str(path)
    protocol = read_pickle(data, where, start=start)
    if protocol.root != _PROTOCOL:
        raise InputError(f"{where}: a torch file of another protocol, expected {_PROTOCOL}")
    system = read_pickle(data, where, start=protocol.end)
    if type(system.root) is not dict or system.root.get("little_endian") is not True:
        raise InputError(f"{where}: a legacy torch file in another byte order; save it again on an ordinary machine")
    storages = Storages(OpenFile(path, data, {}), sizes_known=False)
    loaded = read_pickle(data, where, start=system.end, persistent=storages.load, rebuild=REBUILD)
    keys = read_pickle(data, where, start=loaded.end)
    try:
        _locate_storages(data, keys.root, keys.end, storages)
    except ValueError as error:
        raise InputError(f"{where}: damaged or truncated: {error}; fetch the file again") from None
    calls = tuple(call for part in (loaded, protocol, system, keys) for call in part.calls)
    return TorchFile(path, "legacy", loaded.root, calls, len(data))


def _locate_storages(data: FileBytes, keys: object, at: int, storages: Storages) -> None:
    """Fill in where the storages of a legacy file lie. Raises ValueError."""
    if type(keys) is not list or not all(map(is_key, keys)):
        raise ValueError("the list of storages is missing")
    extents = storages.file.extents
    for key in map(str, keys):
        storage = storages.known.get(key)
        if storage is None or key in extents:
            raise ValueError("the list of storages does not fit the tensors")
        if storage.dtype is None:
            raise ValueError("a storage of an unknown element type")
        numel = int.from_bytes(data[at : at + 8], "little")
        if numel != storage.numel:
            raise ValueError(f"a storage of {storage.numel} elements is announced as {numel}")
        size = numel * storage.dtype.itemsize
        extents[key] = Extent(at + 8, size, 0)
        at += 8 + size
        if at > len(data):
            raise ValueError("the file ends inside a tensor")
    for storage in storages.known.values():
        storages.check(storage)


def _refuse_other(path: Path, data: FileBytes) -> NoReturn:
    """Say what a file is that torch.save did not write."""
    where = str(path)
    calls, end = scan_pickle(data)
    refuse_dangerous(calls, where)
    refuse_foreign(data, where)
    if end is not None:
        raise InputError(f"{where}: a pickle that torch.save did not write; give the .pt file that fairseq wrote")
    if data[0] == 0x80 and data[1] <= 5:
        raise InputError(f"{where}: a damaged or truncated pickle; fetch the file again")
    raise InputError(
        f"{where}: not a checkpoint: torch.save did not write this file; give the .pt file that fairseq wrote"
    )
