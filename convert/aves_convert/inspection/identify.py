"""What a file is, and the next command for it: told from its bytes, without executing anything in it."""

from __future__ import annotations

import json
import mmap
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aves_artifacts.base.errors import InputError, one_line
from aves_artifacts.bundle.bundle import Bundle, read_bundle
from aves_artifacts.bundle.manifest import FILE_NAMES, MANIFEST
from aves_artifacts.encoder import EncoderConfig
from aves_convert.pickles import reader as inert_pickle
from aves_convert.pickles.dangerous_calls import is_harmless
from aves_convert.pickles.records import printable
from aves_convert.torch_files.foreign_files import refuse_foreign

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_MAX_JSON = 1 << 24  # bytes; a manifest has some ten thousand
_MAX_LINE = 1000  # characters of one line for people
_ONNX_ENDING, _WEIGHTS_ENDING = (FILE_NAMES[role].removeprefix("{name}") for role in ("onnx", "torchaudio"))
_CONFIG_ENDING = FILE_NAMES["config"].removeprefix("{name}")


@dataclass(frozen=True)
class Inspection:
    """What a file is. ``facts`` are plain JSON values; ``next`` is the command to go on with.

    ``problem`` is why the tools cannot use the file, None where they can.
    """

    path: Path
    kind: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    next: str | None = None
    problem: str | None = None

    def to_json(self) -> str:
        """For programs; text from the file is escaped."""
        return json.dumps(
            {
                "path": str(self.path),
                "kind": self.kind,
                "usable": self.problem is None,
                "facts": self.facts,
                "next": self.next,
                "problem": self.problem,
            },
            indent=2,
        )

    def to_text(self) -> str:
        """For people: what it is, one aligned line for each fact, the next command."""
        width = max((len(name) for name in self.facts), default=0) + 2
        rows = [one_line(f"{self.path}: {self.kind}")]
        for name, value in self.facts.items():
            for index, line in enumerate(_lines(value)):
                label = name.replace("_", " ") if index == 0 else ""
                rows.append(f"  {label:<{width}}{printable(line, _MAX_LINE)}")
        return "\n".join([*rows, *([one_line(f"next: {self.next}")] if self.next else [])])


def inspect(path: Path) -> Inspection:
    """Tell what a file or folder is. Reads no weights and builds no model.

    Raises InputError only for what cannot be opened; what the content is wrong with stands in ``problem``.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path")
    try:
        return _bundle(path) if path.is_dir() else _file(path)
    except InputError as error:
        return Inspection(path, "unusable", problem=str(error))


def _lines(value: object) -> Iterator[str]:
    """The lines for one fact: lists and numbers by name on one line, sentences by name on one line each."""
    if isinstance(value, Mapping):
        if all(type(item) is int for item in value.values()):
            yield ", ".join(f"{name} {item:,}" for name, item in value.items()) or "none"
        else:
            yield from (f"{name}: {_word(item)}" for name, item in value.items())
    elif isinstance(value, list | tuple):
        yield ", ".join(map(str, value)) or "none"
    else:
        yield _word(value)


def _word(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:,}" if isinstance(value, int) else str(value)


def _file(path: Path) -> Inspection:
    """Told from the first bytes; onnx is imported only where the file is its own."""
    if not path.is_file():
        raise InputError(f"{path}: no ordinary file; give the file itself")
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
            if not head:
                raise InputError(f"{path}: the file is empty; fetch it again")
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise InputError(f"{path}: cannot read the file: {error.strerror or error}") from None
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        return _json(path, len(data))
    from aves_convert.inspection.onnx_graphs import inspect_onnx, looks_like_onnx

    if looks_like_onnx(head):
        return inspect_onnx(path, data)
    if not head.startswith((_ZIP, _PICKLE)):
        calls, _ = inert_pickle.scan(data)
        if all(is_harmless(call.global_) for call in calls):
            refuse_foreign(data, str(path))
    from aves_convert.inspection.checkpoints import inspect_torch_file

    return inspect_torch_file(path)


def _json(path: Path, size: int) -> Inspection:
    """A model config, or a bundle's manifest: then the bundle."""
    if size > _MAX_JSON:
        raise InputError(f"{path}: a JSON file of {size:,} bytes, larger than any config; give the .model_config.json")
    try:
        text = path.read_text(encoding="utf-8-sig")
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: a damaged or truncated JSON file: {error}") from None
    if path.name == MANIFEST and "ledger" in entries:
        return _bundle(path.parent)
    config = EncoderConfig.from_json(text, where=str(path))
    weights = sibling(path, _CONFIG_ENDING, _WEIGHTS_ENDING)
    stem = path.name.removesuffix(".json").removesuffix(".torchaudio.model_config")
    return Inspection(
        path,
        "TorchAudio model config",
        {**config.kwargs(), "hop": config.hop, "receptive_field": config.receptive_field},
        command("aves-convert", "torchaudio2onnx", weights or "WEIGHTS", "--config", path, "--out", f"{stem}.onnx"),
    )


def _bundle(folder: Path) -> Inspection:
    """A bundle by its manifest; sizes are compared and contents not hashed."""
    bundle = read_bundle(folder)
    manifest = bundle.manifest
    actions = [entry["action"] for entry in manifest.ledger]
    facts = {
        "name": manifest.name,
        "files": {role: f"{record.name}, {record.size} bytes" for role, record in manifest.files.items()},
        "source": manifest.source,
        "encoder": manifest.encoder,
        "tensors": {action: actions.count(action) for action in dict.fromkeys(actions)},
        "licence": manifest.licence or "not recorded",
        "report": "none" if manifest.report is None else "passed" if manifest.report.passed else "failed",
        "versions": manifest.versions,
    }
    places = _places(folder, manifest.source["name"])
    checkpoint = next((place for place in places if place.is_file()), None)
    original = ("--fairseq", checkpoint) if checkpoint else ("--backends", "torchaudio,onnx")
    problems = list(_missing(bundle))
    return Inspection(
        folder,
        "bundle",
        facts,
        None if problems else command("aves-verify", "--bundle", folder, *original),
        f"{folder}: {'; '.join(problems)}; make the bundle anew with: aves-convert bundle" if problems else None,
    )


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


def sibling(path: Path, ending: str, other: str) -> Path | None:
    """The file beside ``path`` that has ``other`` in the place of ``ending``, where there is one."""
    if not path.name.endswith(ending):
        return None
    beside = path.with_name(path.name.removesuffix(ending) + other)
    return beside if beside.is_file() else None


def command(*words: object) -> str:
    """A command as a shell takes it, and click: a path that begins with a dash is no option."""
    return shlex.join(f"./{word}" if isinstance(word, Path) and str(word)[0] == "-" else str(word) for word in words)
