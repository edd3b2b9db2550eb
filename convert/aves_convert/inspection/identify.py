"""Telling what a file is from its bytes, without executing anything in it, and the command that comes next."""

from __future__ import annotations

from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of
from aves_artifacts.files.file_bytes import FileBytes
from aves_convert.inspection.bundles import inspect_folder, inspect_json
from aves_convert.inspection.finding import Inspection
from aves_convert.inspection.heads import inspect_heads, is_heads_file
from aves_convert.pickles.dangerous_calls import dangerous_calls
from aves_convert.pickles.reader import scan_pickle
from aves_convert.torch_files.foreign_files import refuse_foreign

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"


def inspect(path: Path) -> Inspection:
    """Tell what a file or folder is. Reads no weights and builds no model.

    Raises InputError only for what cannot be opened; what is wrong with the content stands in ``problems``.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path")
    try:
        return _folder(path) if path.is_dir() else _file(path)
    except InputError as error:
        return Inspection(path, "unusable", problems=error.problems)


def _folder(path: Path) -> Inspection:
    """A folder of transformers is read by the room that reads checkpoints, which a bundle needs not."""
    from aves_convert.inspection.folders import inspect_model_folder, is_model_folder

    return inspect_model_folder(path) if is_model_folder(path) else inspect_folder(path)


def _file(path: Path) -> Inspection:
    """Told from the first bytes; onnx is imported only where the file is its own."""
    if not path.is_file():
        raise InputError(f"{path}: no ordinary file; give the file itself")
    try:
        data = FileBytes(path)
    except OSError as error:
        raise InputError(f"{path}: cannot read the file: {reason_of(error)}") from None
    head = data[:4096]
    if not head:
        raise InputError(f"{path}: the file is empty; fetch it again")
    from aves_convert.inspection.folders import folder_around, inspect_lone_weights, inspect_model_folder

    if (folder := folder_around(path)) is not None:
        return inspect_model_folder(folder)
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        return inspect_json(path, len(data))
    from aves_convert.inspection.onnx_graphs import inspect_onnx, looks_like_onnx

    if looks_like_onnx(head):
        return inspect_onnx(path, data)
    if is_heads_file(path, head):
        return inspect_heads(path, data)
    if path.name.endswith(".safetensors") and head[8:9] == b"{" and (found := inspect_lone_weights(path)):
        return found
    if not head.startswith((_ZIP, _PICKLE)):
        calls, _ = scan_pickle(data)
        if not dangerous_calls(calls):
            refuse_foreign(data, str(path))
    from aves_convert.inspection.checkpoints import inspect_torch_file

    return inspect_torch_file(path)
