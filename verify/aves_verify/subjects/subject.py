"""A subject: the files of one encoder that are verified, wherever they come from."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line
from aves_artifacts.bundle.bundle import Bundle, hash_problems, read_bundle
from aves_artifacts.bundle.manifest import REDUCED, GraphRecord, Manifest, stem_of
from aves_artifacts.configurations.catalog import Configuration
from aves_artifacts.files.file_record import folder_record, sha256_of
from aves_artifacts.files.graph_types import port_of_graph
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import Geometry, write_stand_in
from aves_convert.graph.options import Layers, OnnxOptions
from aves_convert.hugging_face.folder import folder_files


@dataclass(frozen=True)
class Subject:
    """The files of one encoder that are verified; a file that is not given is None."""

    name: str
    source: str  # "stand-in", "published" or "file"
    fairseq: Path | None
    torchaudio: Path | None
    config: Path | None
    onnx: Path | None
    pretrained: Path | None = None  # what fairseq's checkpoint was made from, where it lacks that one's config
    geometry: str | None = None  # the published size of that checkpoint's weights, where it lacks all settings
    recording: Path | None = None  # fairseq's outputs, in the place of fairseq
    normalize: bool | None = None  # None: what the fairseq checkpoint says, else no
    known_sha256: dict[str, str] = field(default_factory=dict)  # SHA-256 already known, by the files' names
    problems: tuple[str, ...] = ()
    manifest: Manifest | None = None  # of the bundle that the ports are of
    copy: Path | None = None  # of the TorchAudio weights, in safetensors: no port runs it, users may
    heads: Path | None = None  # what the TorchAudio weights have no place for
    centroids: Mapping[int | None, Path] = field(default_factory=dict)  # of units, as in ``Source``
    transformers: Path | None = None  # a folder that transformers loads
    folder_is_original: bool = False  # whether the ports were made from that folder, not from a checkpoint of fairseq
    reduced: Mapping[str, Path] = field(default_factory=dict)  # graphs that cost more than rounding, by their ports
    records: Mapping[str, GraphRecord] = field(default_factory=dict)  # what the manifest says of these

    @property
    def original(self) -> Path | None:
        """What the ports were made from, where it is given."""
        return self.transformers if self.folder_is_original else self.fairseq

    def file(self, name: str) -> Path | None:
        """The path of one of ``FILES``; None where it is not given."""
        files = {"fairseq": self.fairseq, "torchaudio": self.torchaudio, "onnx": self.onnx}
        return {**files, "transformers": self.transformers, **self.reduced}.get(name)

    def read(self) -> Checkpoint:
        """Read the original. Raises InputError; it must have been given."""
        assert self.original is not None  # noqa: S101 - the caller's duty
        return read_checkpoint(self.original, self.pretrained, self.geometry)

    def files(self) -> tuple[Path | None, ...]:
        """Every file that is read of it."""
        files = (self.fairseq, self.pretrained, self.torchaudio, self.config, self.heads, self.onnx, self.recording)
        folder = folder_files(self.transformers) if self.transformers is not None else []
        return (*files, self.copy, *self.reduced.values(), *self.centroids.values(), *folder)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that is read of it and is given, and what lies beside a graph past 2 GB."""
        given = [path for path in self.files() if path is not None]
        beside = (path.with_name(f"{path.name}.data") for path in given if path.suffix == ".onnx")
        return (*given, *(path for path in beside if path.is_file()))

    def moved(self, files: Mapping[Path, Path]) -> Subject:
        """Give it other places for its ``paths``, such as those on another machine."""

        def of(path: Path | None) -> Path | None:
            return None if path is None else files.get(path, path)

        folder = self.transformers
        if folder is not None:  # all of its files lie together
            inside = next((lies for path, lies in files.items() if path.parent == folder), None)
            folder = folder if inside is None else inside.parent
        single = ("fairseq", "torchaudio", "config", "onnx", "pretrained", "recording", "heads", "copy")
        given: dict[str, Any] = {name: of(getattr(self, name)) for name in single}
        return replace(
            self,
            **given,
            centroids={layer: files.get(path, path) for layer, path in self.centroids.items()},
            transformers=folder,
            reduced={port: files.get(path, path) for port, path in self.reduced.items()},
        )

    def only(self, read: Collection[str]) -> Subject:
        """Leave out all of ``FILES`` but those that are read; the config and the heads, which go with all, stay."""
        single = ("fairseq", "torchaudio", "onnx", "transformers")
        kept: dict[str, Any] = {name: self.file(name) if name in read else None for name in single}
        return replace(
            self, **kept, copy=None, reduced={port: path for port, path in self.reduced.items() if port in read}
        )

    def sha256(self, read: Collection[str]) -> dict[str, str]:
        """Hash those of ``FILES`` that are read, and those beside them: the config, and ONNX weights past 2 GB.

        Of a folder it is the digest of ``folder_sha256``.
        """
        files = {name: self.file(name) for name in FILES if name in read and name != "transformers"}
        if "torchaudio" in read:
            files |= {"config": self.config, "heads": self.heads}
        if "onnx" in read and self.onnx is not None:
            files["onnx_data"] = data if (data := self.onnx.with_name(f"{self.onnx.name}.data")).is_file() else None
        found = {
            name: self.known_sha256.get(name) or sha256_of(path) for name, path in files.items() if path is not None
        }
        if "transformers" in read and self.transformers is not None:
            known = self.known_sha256.get("transformers")
            found["transformers"] = known or folder_record(self.transformers, folder_files(self.transformers)).sha256
        return found


@dataclass(frozen=True)
class Pending:
    """A subject whose files are yet to be made; its name is known before, to tell of it where that fails."""

    name: str
    source: str  # as the subject's
    files: AbstractContextManager[Subject] = field(repr=False)  # they exist within it
    has_original: bool = True  # a checkpoint for fairseq to run


def ready(subject: Subject) -> Pending:
    """Wrap a subject whose files are there already as a pending one."""
    has_original = subject.fairseq is not None and subject.fairseq.is_file()
    return Pending(subject.name, subject.source, nullcontext(subject), has_original)


def of_bundle(
    folder: Path, fairseq: Path | None = None, pretrained: Path | None = None, transformers: Path | None = None
) -> Subject:
    """A bundle on disk as what is verified, with the checkpoint that it was made from where ``fairseq`` is given.

    ``transformers``: the folder that it was made from instead.

    ``pretrained`` is what that checkpoint was fine-tuned from, where it lacks that one's config. Files that are not the
    manifest's are a problem of the subject, and are compared all the same: the numbers tell what the difference is
    worth. Raises InputError where there is no readable bundle.
    """
    bundle = read_bundle(folder)
    problems = hash_problems(bundle)
    if fairseq is not None and sha256_of(fairseq) != bundle.manifest.source.sha256:
        problems.append(f"{fairseq} is not the checkpoint that the bundle was made from (SHA-256 differs)")
    found = None if transformers is None else folder_record(transformers, folder_files(transformers)).sha256
    if found not in (None, bundle.manifest.source.sha256):
        problems.append(f"{transformers} is not the folder that the bundle was made from (SHA-256 differs)")
    subject = _from_bundle(bundle, source="file", fairseq=fairseq, problems=tuple(problems))
    if transformers is not None:
        subject = replace(subject, transformers=transformers, folder_is_original=True)
    return replace(subject, pretrained=pretrained)


def of_files(
    fairseq: Path | None,
    torchaudio: Path | None,
    config: Path | None,
    onnx: Path | None,
    transformers: Path | None = None,
    reduced: Sequence[Path] = (),
) -> Subject:
    """Take single files as a subject, named after the first.

    ``reduced``: smaller graphs, of different kinds. Raises InputError for weights without a config, for a graph that
    is none of these, and for two of one kind.

    Where no checkpoint of fairseq is given, a folder of ``transformers`` is the original.
    """
    if (torchaudio is None) != (config is None):
        raise InputError("TorchAudio weights and their config go together, and one is not given", hint=CONFIG)
    first = next(path for path in (fairseq, transformers, torchaudio, onnx, *reduced) if path is not None)
    return Subject(
        stem_of(first.resolve().name if first == transformers else first.name),
        source="file",
        fairseq=fairseq,
        torchaudio=torchaudio,
        config=config,
        onnx=onnx,
        transformers=transformers,
        folder_is_original=transformers is not None and fairseq is None,
        reduced=_by_port(reduced),
    )


def _by_port(graphs: Sequence[Path]) -> dict[str, Path]:
    """Sort smaller graphs by what they are made of, whatever they are called."""
    found: dict[str, Path] = {}
    for path in graphs:
        try:
            port = port_of_graph(path)
        except (OSError, ValueError, DecodeError) as error:
            raise InputError(f"{path}: no ONNX graph, or a damaged one ({first_line(error)})") from None
        if port == "onnx":
            raise InputError(f"{path}: holds nothing in fewer bits than float32", hint="give it with {onnx}")
        if port in found:
            raise InputError(f"{path}: is {port} as {found[port]} is; verify them one after the other")
        found[port] = path
    return found


@contextmanager
def stand_in_for(
    configuration: Configuration, *, geometry: Geometry = "base", layers: Layers = "last"
) -> Iterator[Subject]:
    """Make and convert a stand-in for a configuration; its files (1.2 GB at base size) are removed after."""
    with tempfile.TemporaryDirectory(prefix=f"aves-stand-in-{configuration.name}-") as folder:
        checkpoint = Path(folder) / f"{configuration.file_name}.pt"
        write_stand_in(configuration.name, checkpoint, geometry=geometry)
        subject = _made(Source(checkpoint), Path(folder), layers, source="stand-in")
        yield replace(subject, name=configuration.name)


def geometry_of(configuration: Configuration) -> Geometry:
    """Find the size of a configuration's stand-in. Raises InputError where its dimension cannot be made."""
    sizes: dict[int, Geometry] = {768: "base", 1024: "large"}
    if configuration.dimension not in sizes:
        raise InputError(
            f"{configuration.name}: no stand-in of dimension {configuration.dimension}, only 768 or 1024; "
            "give the path of its checkpoint instead"
        )
    return sizes[configuration.dimension]


@contextmanager
def converted(
    checkpoint: Path, *, layers: Layers = "last", pretrained: Path | None = None, geometry: str | None = None
) -> Iterator[Subject]:
    """Convert a checkpoint from anywhere; the ports are removed after. Raises InputError for another file.

    ``pretrained`` or ``geometry`` give the settings that a file may lack.
    """
    original = Source(checkpoint, pretrained, geometry=geometry)
    with tempfile.TemporaryDirectory(prefix="aves-ports-") as folder:
        yield _made(original, Path(folder), layers, source="file")


def _made(original: Source, folder: Path, layers: Layers, *, source: str) -> Subject:
    bundle = make_bundle(original, Target(folder, original.path.stem), OnnxOptions(layers=layers))
    made = _from_bundle(bundle, source=source, fairseq=original.path, problems=())
    return replace(made, pretrained=original.pretrained, geometry=original.geometry)


def _from_bundle(bundle: Bundle, *, source: str, fairseq: Path | None, problems: tuple[str, ...]) -> Subject:
    manifest = bundle.manifest
    reduced = {port: role for port, role in REDUCED.items() if role in manifest.files}
    folder = bundle.path("transformers_config").parent if "transformers_config" in manifest.files else None
    known: dict[str, str] = {}
    if not problems:
        known |= {role: record.sha256 for role, record in manifest.files.items()}
        known |= {port: manifest.files[role].sha256 for port, role in reduced.items()}
        known |= {} if folder is None else {"transformers": manifest.folder_sha256}
    if fairseq is not None and not problems:
        known["fairseq"] = manifest.source.sha256
    return Subject(
        name=manifest.name,
        source=source,
        fairseq=fairseq,
        torchaudio=bundle.path("torchaudio"),
        config=bundle.path("config"),
        onnx=bundle.path("onnx"),
        heads=bundle.path("heads") if "heads" in manifest.files else None,
        normalize=manifest.encoder.normalize,
        known_sha256=known,
        problems=problems,
        manifest=manifest,
        copy=copy if "safetensors" in manifest.files and (copy := bundle.path("safetensors")).is_file() else None,
        transformers=folder,
        reduced={port: bundle.path(role) for port, role in reduced.items()},
        records={port: manifest.reduced[role] for port, role in reduced.items() if role in manifest.reduced},
    )


FILES = ("fairseq", "torchaudio", "onnx", *REDUCED, "transformers")  # what backends read, the original first
CONFIG = (
    "give the weights with {torchaudio} and their .model_config.json with {config}"  # the hint where one is missing
)
