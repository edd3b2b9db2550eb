"""Inspecting JSON files and folders: a model config, a manifest, a bundle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of
from aves_artifacts.bundle.bundle import Bundle, read_bundle
from aves_artifacts.bundle.manifest import MANIFEST, GraphRecord, ending, stem_of
from aves_artifacts.bundle.outputs import OutputRecord
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.documents import parse_json, read_file
from aves_convert.inspection.finding import Inspection, shell_command, sibling

_MAX_JSON = 1 << 24  # bytes; a manifest has some ten thousand


def inspect_json(path: Path, size: int) -> Inspection:
    """Tell what a JSON file is: a model config, or the manifest of a bundle, which is then inspected."""
    if size > _MAX_JSON:
        raise InputError(f"{path}: a JSON file of {size:,} bytes, larger than any config; give the .model_config.json")
    try:
        text = read_file(path, _MAX_JSON).decode("utf-8-sig")
        entries = parse_json(text)
    except ValueError as error:
        raise InputError(f"{path}: a damaged or truncated JSON file: {reason_of(error)}") from None
    if path.name == MANIFEST and "ledger" in entries:
        return inspect_folder(path.parent)
    config = EncoderConfig.from_json(text, where=str(path))
    weights = sibling(path, ending("config"), ending("torchaudio"))
    words = ("torchaudio2onnx", weights or "WEIGHTS", "--config", path, "--out", f"{stem_of(path.name)}.onnx")
    return Inspection(
        path,
        "TorchAudio model config",
        {**config.kwargs(), "hop": config.hop, "receptive_field": config.receptive_field, "frames": config.frame_rule},
        shell_command("aves-convert", *words),
    )


def inspect_folder(folder: Path) -> Inspection:
    """Inspect a bundle by its manifest; sizes are compared, contents are not hashed."""
    bundle = read_bundle(folder)
    manifest = bundle.manifest
    actions = [entry.action for entry in manifest.ledger]
    facts = {
        "name": manifest.name,
        "files": {role: f"{record.name}, {record.size} bytes" for role, record in manifest.files.items()},
        "source": manifest.source.to_entries(),
        "encoder": {**asdict(manifest.encoder), "frames": manifest.config.frame_rule},
        "graph": "not recorded" if manifest.graph is None else _graph(manifest.graph),
        "tensors": {action: actions.count(action) for action in dict.fromkeys(actions)},
        "licence": manifest.licence or "not recorded",
        "report": "none" if manifest.report is None else "passed" if manifest.report.passed else "failed",
        "versions": manifest.versions,
    }
    places = _places(folder, manifest.source.name)
    checkpoint = next((place for place in places if place.is_file()), None)
    original = ("--fairseq", checkpoint) if checkpoint else ("--backends", "torchaudio,onnx")
    problems = list(_missing(bundle))
    return Inspection(
        folder,
        "bundle",
        facts,
        None if problems else shell_command("aves-verify", "--bundle", folder, *original),
        tuple(f"{folder}: {problem}; make the bundle anew with: aves-convert bundle" for problem in problems),
    )


def _graph(graph: GraphRecord) -> dict[str, Any]:
    """How the graph was written, and the form of each output by its name."""
    return {**asdict(graph), "outputs": "; ".join(map(_told, graph.outputs)) or "not recorded"}


def _told(output: OutputRecord) -> str:
    form = f"[batch, frames, {output.dimension}]" if output.units is None else f"{output.units} units [batch, frames]"
    of = "" if output.label_set is None else f", of the labels {output.label_set}"
    return f"{output.name} {form}{of}"


def _missing(bundle: Bundle) -> Iterator[str]:
    for record in bundle.manifest.files.values():
        path = bundle.folder / record.name
        if not path.is_file():
            yield f"{record.name} is missing"
        elif path.stat().st_size != record.size:
            yield f"{record.name} has {path.stat().st_size} bytes, its manifest says {record.size}"


def _places(folder: Path, name: str) -> list[Path]:
    """Where the checkpoint of a bundle may lie: beside it, around it, here."""
    if Path(name).name != name:
        return []
    return [place / name for place in (folder, folder.parent, Path())]
