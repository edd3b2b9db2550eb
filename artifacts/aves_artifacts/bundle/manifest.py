"""The manifest of a bundle: which files it holds and where they came from, as JSON under a published schema."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import quoted, reason_of
from aves_artifacts.bundle.outputs import OutputRecord
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.documents import parse_json
from aves_artifacts.files.file_record import FileRecord, folder_sha256
from aves_artifacts.files.json_schema import schema_problem
from aves_artifacts.hugging_face import names

MANIFEST = "manifest.json"
REPORT = "report.json"
SCHEMA = 2

Role = Literal[
    "torchaudio",
    "config",
    "safetensors",
    "heads",
    "onnx",
    "onnx_data",
    "onnx_float16_weights",
    "onnx_float16",
    "onnx_int8",
    "int8_search",
    "transformers_config",
    "transformers_weights",
    "transformers_preprocessor",
    "transformers_vocabulary",
    "transformers_tokenizer",
    "card",
]
# File names as the model's authors publish them; {name} is the configuration's, e.g. aves-base-bio. onnx_data: of
# models past 2 GB alone; heads: where there are projections or centroids; reduced graphs and transformers': where they
# were asked for, and the last two of these of a model with a head for letters alone. The Hugging Face Hub shows
# README.md.
FILE_NAMES: dict[Role, str] = {
    "torchaudio": "{name}.torchaudio.pt",
    "config": "{name}.torchaudio.model_config.json",
    "safetensors": "{name}.safetensors",
    "heads": "{name}.heads.safetensors",
    "onnx": "{name}.onnx",
    "onnx_data": "{name}.onnx.data",
    "onnx_float16_weights": "{name}.float16-weights.onnx",
    "onnx_float16": "{name}.float16.onnx",
    "onnx_int8": "{name}.int8.onnx",
    "int8_search": "{name}.int8.search.json",
    "transformers_config": f"{{name}}.transformers/{names.CONFIG}",
    "transformers_weights": f"{{name}}.transformers/{names.WEIGHTS}",
    "transformers_preprocessor": f"{{name}}.transformers/{names.PREPROCESSOR}",
    "transformers_vocabulary": f"{{name}}.transformers/{names.VOCABULARY}",
    "transformers_tokenizer": f"{{name}}.transformers/{names.TOKENIZER}",
    "card": "README.md",
}


# The files of the folder that transformers loads: together one port.
TRANSFORMERS: tuple[Role, ...] = tuple(role for role in FILE_NAMES if role.startswith("transformers_"))


# Graphs that cost more than rounding, by the name that the port has in a report.
REDUCED: dict[str, Role] = {
    "onnx.float16-weights": "onnx_float16_weights",
    "onnx.float16": "onnx_float16",
    "onnx.int8": "onnx_int8",
}


def ending(role: Role) -> str:
    """Give what stands after the configuration's name in that of a file."""
    return FILE_NAMES[role].removeprefix("{name}")


def stem_of(file: str) -> str:
    """Tell the configuration's name from that of one of its files, or of the checkpoint that they were made from."""
    for part in (".pt", ".onnx", ".json", ".model_config", ".torchaudio"):
        file = file.removesuffix(part)
    return file


@dataclass(frozen=True)
class SourceRecord(FileRecord):
    """The checkpoint, or the folder of transformers, that a bundle's files were made from.

    Of a folder the size is that of all its files, and the digest that of ``folder_sha256``.
    """

    model_class: str  # fairseq's name for it, or transformers'
    num_updates: int | None  # updates of its training; None: not recorded
    stand_in: bool  # seeded weights that were never trained
    pretrained: FileRecord | None = None  # the checkpoint it was fine-tuned from, where the settings are that one's
    geometry: str | None = None  # the published size whose settings were taken, of weights without any
    unknown_config: Mapping[str, str] = field(default_factory=dict)  # entries that nobody knows, passed over: values
    format: Literal["fairseq", "transformers"] = "fairseq"  # "transformers": a folder that transformers loads

    def to_entries(self) -> dict[str, Any]:
        """The entries of the manifest's JSON; what only some checkpoints have stands there only where they do."""
        entries = asdict(self)
        for name in ("pretrained", "geometry", "unknown_config"):
            if not entries[name]:
                del entries[name]
        if self.format == "fairseq":
            del entries["format"]
        return entries


@dataclass(frozen=True)
class EncoderFacts:
    """What a user must know of an encoder beside its config, such as its hop. Lengths are in samples."""

    sample_rate: int
    normalize: bool  # whether each waveform is brought to mean 0 and variance 1
    hop: int
    receptive_field: int
    dimension: int
    layers: int

    @classmethod
    def of(cls, config: EncoderConfig, *, sample_rate: int, normalize: bool) -> EncoderFacts:
        """Take the facts from a config, and from the caller what a config does not tell."""
        return cls(
            sample_rate=sample_rate,
            normalize=normalize,
            hop=config.hop,
            receptive_field=config.receptive_field,
            dimension=config.encoder_embed_dim,
            layers=config.encoder_num_layers,
        )


@dataclass(frozen=True)
class GraphRecord:
    """How an ONNX graph of a bundle was written."""

    opset: int
    precision: str  # "float32" or "mixed"; of reduced graphs also "float16" or "int8"
    attention: str  # "standard" or "fused"
    exporter: str  # "graph" or "torch"
    fixed_shape: tuple[int, int] | None = None  # batch and samples of its only input; None: any
    channel_axis: bool = False  # whether its input is [batch, 1, samples]
    outputs: tuple[OutputRecord, ...] = ()  # in its order; none: made before they were recorded
    weights: str = "float32"  # how large ones lie in the file
    wide: tuple[str, ...] = ()  # products that stay in float32 in a reduced graph, by module

    def to_entries(self) -> dict[str, Any]:
        """The entries of the manifest's JSON; what only reduced graphs have stands there only where they do."""
        entries = asdict(self)
        if self.weights == "float32":
            del entries["weights"]
        if not self.wide:
            del entries["wide"]
        return entries

    @classmethod
    def of(cls, entries: Mapping[str, Any]) -> GraphRecord:
        """Make it of the entries of a manifest's JSON, which fit the schema."""
        shape = entries["fixed_shape"]
        outputs = tuple(OutputRecord(**entry) for entry in entries.get("outputs", ()))
        wide = tuple(entries.get("wide", ()))
        return cls(**{**entries, "fixed_shape": shape and tuple(shape), "outputs": outputs, "wide": wide})


@dataclass(frozen=True)
class LedgerEntry:
    """What became of one tensor of the checkpoint, or where one tensor of the port came from."""

    source: str | None  # fairseq's name; None for a tensor that the port needs and the checkpoint leaves out
    target: str | None  # TorchAudio's name; None for a dropped tensor
    action: Literal["mapped", "dropped", "created"]
    reason: str  # why it was dropped or created; empty for a mapped tensor
    shape: tuple[int, ...]
    dtype: str  # in the source, e.g. "float16"
    sha256: str | None = None  # of the source tensor's bytes, contiguous and little-endian


@dataclass(frozen=True)
class ReportRecord(FileRecord):
    """The file record of a bundle's report, and whether it says passed."""

    passed: bool


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds and where it came from: the entries of ``manifest.schema.json``, which describes them."""

    name: str
    files: Mapping[Role, FileRecord]
    source: SourceRecord
    encoder: EncoderFacts
    config: EncoderConfig = field(repr=False)
    ledger: tuple[LedgerEntry, ...] = field(repr=False)
    versions: Mapping[str, str]  # package -> version, of everything that had a part in making the files
    licence: str = ""
    citation: str = ""
    report: ReportRecord | None = None
    graph: GraphRecord | None = None  # None: made before it was recorded
    reduced: Mapping[Role, GraphRecord] = field(default_factory=dict)  # the graphs that cost more than rounding

    @property
    def folder_sha256(self) -> str:
        """The digest of the folder for transformers, as ``folder_sha256`` has it: of no file where there is none."""
        records = [self.files[role] for role in TRANSFORMERS if role in self.files]
        return folder_sha256({record.name.rpartition("/")[2]: record.sha256 for record in records})

    @property
    def ports(self) -> frozenset[str]:
        """The backends that a report must have compared: those of the files, but for the original's own."""
        folder = any(role in self.files for role in TRANSFORMERS) and self.source.format != "transformers"
        reduced = [port for port, role in REDUCED.items() if role in self.files]
        return frozenset({"torchaudio", "onnx", *reduced, *(["transformers"] if folder else [])})

    def to_json(self) -> str:
        """Write the manifest for people to read: two spaces, one tensor per line, and its own SHA-256."""
        return self._text(hashlib.sha256(self._text("").encode()).hexdigest())

    def _text(self, sha256: str) -> str:
        entries = {
            "schema": SCHEMA,
            "name": self.name,
            "sha256": sha256,
            "files": {role: asdict(record) for role, record in self.files.items()},
            "source": self.source.to_entries(),
            **({} if self.graph is None else {"graph": self.graph.to_entries()}),
            **({"reduced": {role: each.to_entries() for role, each in self.reduced.items()}} if self.reduced else {}),
            "encoder": asdict(self.encoder),
            "config": self.config.to_entries(),
            "versions": dict(self.versions),
            "licence": self.licence,
            "citation": self.citation,
            "report": None if self.report is None else asdict(self.report),
        }
        ledger = ",\n    ".join(json.dumps(asdict(entry), ensure_ascii=False) for entry in self.ledger)
        text = json.dumps(entries, indent=2, ensure_ascii=False)
        return f'{text[:-2]},\n  "ledger": [\n    {ledger}\n  ]\n}}\n'

    @classmethod
    def from_json(cls, text: str, *, where: str = MANIFEST) -> Manifest:
        """Parse and validate a manifest.

        Raises InputError naming ``where`` and what the schema, or ``EncoderConfig``, says against it.
        """
        again = "make the bundle anew with: aves-convert bundle"
        try:
            entries = parse_json(text)
        except ValueError as error:
            raise InputError(f"{where}: cannot read the manifest: {reason_of(error)}") from None
        if isinstance(entries, dict) and entries.get("schema") != SCHEMA:
            found = entries.get("schema")
            raise InputError(
                f"{where}: schema {quoted(found)}, expected {SCHEMA}: from another version of this tool; {again}"
            )
        problem = schema_problem(entries, "manifest.schema.json")
        if problem:
            raise InputError(f"{where}: not a bundle's manifest: {problem}; {again}")
        try:
            return _manifest(entries)
        except InputError as error:
            told = (f"{where}: not a bundle's manifest: {problem}; {again}" for problem in error.problems)
            raise InputError(*told) from None


def _manifest(entries: Any) -> Manifest:
    """The nouns for entries of which the schema says nothing. Raises InputError where the config is unusable."""
    source, report, graph = entries["source"], entries["report"], entries.get("graph")
    pretrained = source.pop("pretrained", None)
    return Manifest(
        name=entries["name"],
        files={role: FileRecord(**record) for role, record in entries["files"].items()},
        source=SourceRecord(**source, pretrained=None if pretrained is None else FileRecord(**pretrained)),
        encoder=EncoderFacts(**entries["encoder"]),
        config=EncoderConfig.from_entries(entries["config"], where="config"),
        ledger=tuple(LedgerEntry(**entry | {"shape": tuple(entry["shape"])}) for entry in entries["ledger"]),
        versions=entries["versions"],
        licence=entries["licence"],
        citation=entries["citation"],
        report=None if report is None else ReportRecord(**report),
        graph=None if graph is None else GraphRecord.of(graph),
        reduced={role: GraphRecord.of(each) for role, each in entries.get("reduced", {}).items()},
    )
