"""Inspecting a heads file, by its header alone: safetensors keeps names, shapes and text in front of the numbers."""

from __future__ import annotations

from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of
from aves_artifacts.bundle.manifest import ending
from aves_artifacts.files.documents import parse_json
from aves_artifacts.files.file_bytes import FileBytes
from aves_convert.inspection.finding import Inspection, shell_command, sibling

_LARGEST = 1 << 20  # bytes of a header; one of a dozen tensors has a thousand
_METADATA = "__metadata__"


def is_heads_file(path: Path, head: bytes) -> bool:
    """Whether a file is called as one, and begins as safetensors does: with a length, then JSON."""
    return path.name.endswith(ending("heads")) and head[8:9] == b"{"


def inspect_heads(path: Path, data: FileBytes) -> Inspection:
    """Tell which tensors there are, and of which labels. Raises InputError for a damaged file."""
    size = int.from_bytes(data[:8], "little")
    try:
        header = parse_json(data[8 : 8 + size]) if size <= min(_LARGEST, len(data) - 8) else None
    except ValueError as error:
        raise InputError(f"{path}: a damaged safetensors file ({reason_of(error)}); fetch it again") from None
    if not isinstance(header, dict) or not all(isinstance(entry, dict) for entry in header.values()):
        raise InputError(f"{path}: a damaged safetensors file; fetch it again")
    metadata = header.pop(_METADATA, {})
    tensors = {name: f"{entry.get('dtype')} {entry.get('shape')}" for name, entry in header.items()}
    facts = {"bytes": len(data), "tensors": tensors, "label_sets": metadata.get("label_sets", "not recorded")}
    weights, config = (sibling(path, ending("heads"), ending(role)) for role in ("torchaudio", "config"))
    words = (
        weights or "WEIGHTS",
        "--config",
        config or "MODEL_CONFIG.json",
        "--heads",
        path,
        "--outputs",
        "projection",
    )
    command = shell_command("aves-convert", "torchaudio2onnx", *words, "--out", "projection.onnx")
    return Inspection(path, "heads of an encoder", facts, command if "final_proj.weight" in tensors else None)
