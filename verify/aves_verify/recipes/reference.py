"""What was recorded of an original on a corpus, found again and held ready shard by shard."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.address import Address, open_address
from aves_convert.graph.options import Layers
from aves_verify.backends.recorded import RecordedBackend
from aves_verify.corpus.shards import Shard
from aves_verify.corpus.windows import Cutting
from aves_verify.parts.identity import RECORDING, SIGNALS, Identity
from aves_verify.parts.listing import OUTPUTS, Listing, listings
from aves_verify.parts.outputs import RecordedShard

_ANEW = "make it anew by aves-verify corpus record with {check}"


@dataclass(frozen=True)
class Reference:
    """A recording of a corpus: its address, and what its parts are known by."""

    where: str
    identity: Identity

    @contextmanager
    def of(self, audio: str) -> Iterator[RecordedShard]:
        """What was recorded of the shard of this digest, as a backend. Raises InputError where it is not there."""
        parts, name = open_address(self.where), self.identity.part(audio)
        with tempfile.TemporaryDirectory(prefix="aves-reference-") as folder:
            path = Path(folder) / "outputs.parquet"
            if not parts.copy(name, path):
                raise InputError(f"{parts.url}/{name}: not there; run aves-verify corpus record again to the end")
            yield self._shard(path, f"{parts.url}/{name}", audio)

    def signals(self, folder: Path) -> Path:
        """Copy the recording of the reference signals into a folder; return its path. Raises InputError."""
        parts, name, path = (
            open_address(self.where),
            self.identity.part(SIGNALS, RECORDING),
            folder / f"signals{RECORDING}",
        )
        if not parts.copy(name, path):
            raise InputError(f"{parts.url}/{name}: not there; run aves-verify corpus record again to the end")
        try:
            RecordedBackend(path)
        except InputError:
            raise InputError(f"{parts.url}/{name}: damaged, or cut off", hint=_ANEW) from None
        return path

    def _shard(self, path: Path, where: str, audio: str) -> RecordedShard:
        """A part that was fetched. Raises InputError where it is damaged, or is not the one that belongs there."""
        try:
            shard = RecordedShard(path, where)
        except InputError as error:
            raise InputError(*error.problems, hint=_ANEW) from None
        if (shard.facts.run, shard.facts.audio) != (self.identity.run, audio):
            raise InputError(f"{where}: damaged: it is of another run, or of another shard", hint=_ANEW)
        return shard


def find_reference(parts: Address, where: str, shards: Sequence[Shard], cutting: Cutting, layers: Layers) -> Reference:
    """Find the recording of these shards and layers. Raises InputError where there is none, or more than one."""
    found = listings(parts, OUTPUTS)
    fitting = {name: each for name, each in found.items() if _fits(each, shards, cutting)}
    if not fitting:
        raise InputError(
            f"{parts.url}: was recorded of other audio, or of other windows: {_told(next(iter(found.values())))}",
            hint="record again, or give the same audio, {window}, {hop} and {shard_windows} as then",
        )
    if len(fitting) > 1:
        raise InputError(f"{parts.url}: holds several recordings of this audio ({', '.join(fitting)}); give one alone")
    (listing,) = fitting.values()
    if layers == "all" and listing.layers != "all":
        raise InputError(f"{parts.url}: only the last layer was recorded", hint="record with {layers} all")
    return Reference(where, Identity(listing.port, listing.settings))


def _fits(listing: Listing, shards: Sequence[Shard], cutting: Cutting) -> bool:
    same = (listing.window, listing.hop) == (cutting.window, cutting.hop)
    return same and {shard.audio for shard in shards} <= set(listing.shards)


def _told(listing: Listing) -> str:
    return f"{listing.windows:,} windows of {listing.window:g} s, one every {listing.hop:g} s"
