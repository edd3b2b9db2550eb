"""The arguments of a conversion: what it reads, where it writes, under what terms the weights are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import quoted
from aves_artifacts.bundle.manifest import REDUCED
from aves_artifacts.bundle.outputs import Output, is_layer
from aves_artifacts.files.file_record import FileRecord, file_record, folder_record
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.hugging_face.folder import folder_files

if TYPE_CHECKING:
    from aves_convert.checkpoint.checkpoint import Checkpoint
    from aves_convert.conversion.stand_in import Geometry

MORE_PORTS = ("transformers", *REDUCED)  # what a bundle has where it is asked for
_OTHER = "give another with {name}"


@dataclass(frozen=True)
class Source:
    """What is converted: a fairseq checkpoint or a folder of transformers, and how it is taken.

    ``pretrained`` is the checkpoint that it was made from, needed where the file lacks settings: fairseq leaves those
    of the encoder out of fine-tuned ones, and weights alone have none; nothing else of it is used. For weights of a
    size that HuBERT was published in, ``geometry`` (base, large or xlarge) will do. Weights that are NaN or infinite
    are refused unless ``allow_non_finite``, entries of the config that are not fairseq's unless
    ``allow_unknown_config``. ``centroids``: files with those of a layer's units, by layer; under None, those of every
    layer whose units are wanted.
    """

    path: Path
    pretrained: Path | None = None
    allow_non_finite: bool = False
    allow_unknown_config: bool = False
    geometry: str | None = None
    centroids: Mapping[int | None, Path] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path | None, ...]:
        """Every file that is read of it."""
        original = folder_files(self.path) if self.is_folder else [self.path]
        return (*original, self.pretrained, *self.centroids.values())

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of transformers; a bundle is no source."""
        return self.path.is_dir()

    def record(self) -> FileRecord:
        """Name, size and SHA-256 of the original, of a folder those of all its files. Raises InputError."""
        return folder_record(self.path, folder_files(self.path)) if self.is_folder else file_record(self.path)

    def read(self) -> Checkpoint:
        """Read the checkpoint and what completes it. Raises InputError."""
        return read_checkpoint(self.path, self.pretrained, self.geometry)

    @classmethod
    def stand_in(cls, name: str, path: Path, *, geometry: Geometry = "base", seed: int = 0) -> Source:
        """Write a checkpoint with made-up weights to ``path``, in the place of configuration ``name``; for trials.

        It has fairseq's format and the size of a real one: ``base`` 768 dimensions in 12 layers, ``large`` 1024 in 24,
        ``tiny`` 24 in 2. The same name, geometry and seed give the same bytes everywhere.
        """
        from aves_convert.conversion.stand_in import write_stand_in

        write_stand_in(name, path, geometry=geometry, seed=seed)
        return cls(path)


@dataclass(frozen=True)
class Target:
    """Where several files go: their folder, their common name, and whether files that are there are replaced.

    A name such as ``aves-base-bio`` gives ``aves-base-bio.onnx``; under it the catalogue is asked for licence and
    citation. ``also``: ports beside those that every bundle has, of ``MORE_PORTS``. Raises InputError for a name that
    is no plain file name, and for a port that there is not.
    """

    folder: Path
    name: str
    force: bool = False
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise InputError for a name that is no plain file name, and for a port that there is not."""
        for port in self.also:
            if port not in MORE_PORTS:
                raise InputError(f"no port is called {quoted(port)}; there are more of: {', '.join(MORE_PORTS)}")
        if not self.name or Path(self.name).name != self.name or self.name.startswith("."):
            raise InputError(
                f"the name {quoted(self.name)}: expected a plain file name such as aves-base-bio", hint=_OTHER
            )
        if not self.name.isprintable():  # also what is no UTF-8, which neither ONNX nor JSON could hold
            raise InputError(f"the name {quoted(self.name)} has characters that cannot be printed", hint=_OTHER)


@dataclass(frozen=True)
class Terms:
    """Under what terms weights are passed on: their licence, an SPDX identifier, and how their authors are cited.

    None: what the catalogue says of this encoder. Empty: not known.
    """

    licence: str | None = None
    citation: str | None = None

    def or_else(self, known: Terms) -> Terms:
        """Fill in what is None from the ``known`` terms."""
        return Terms(
            known.licence if self.licence is None else self.licence,
            known.citation if self.citation is None else self.citation,
        )


def by_layer(files: Sequence[str]) -> dict[int | None, Path]:
    """Sort files of centroids as commands take them: ``layer.N=FILE`` by N, a FILE for all layers under None.

    Raises InputError for a layer that is given twice.
    """
    found: dict[int | None, Path] = {}
    for each in files:
        before, equals, path = each.partition("=")
        output = Output.of(before) if equals and is_layer(before) else None
        layer = None if output is None else output.layer
        if layer in found:
            raise InputError(f"centroids are given twice for {'all layers' if output is None else before}")
        found[layer] = Path(each) if output is None else Path(path)
    return found
