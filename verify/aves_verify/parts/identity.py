"""What parts are known by: the port, the audio, and everything else that decides what is in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aves_artifacts.base.versions import version_of
from aves_artifacts.bundle.manifest import Manifest
from aves_artifacts.files.file_record import sha256_of
from aves_verify.backends.backend import implementation
from aves_verify.corpus.windows import Cutting
from aves_verify.drivers.at_worker import PACKAGES
from aves_verify.subjects.subject import Subject
from aves_verify.verification.plan import Plan

_SHORT = 12  # digits of a digest in a name
SIGNALS = "signals"  # in the place of the audio's digest: the reference signals
RECORDING = ".safetensors"  # how the name of a recording of these ends


@dataclass(frozen=True)
class Looking:
    """How windows are looked at: how they are cut, in which the exact answer is computed, how many are kept whole.

    ``exact_every``: of so many windows one gets the answer in float64, which takes as long as all ports together; the
    others do where a difference asks for it.
    """

    cutting: Cutting
    exact_every: int = 1
    worst: int = 2


@dataclass(frozen=True)
class Identity:
    """Digests of what is verified, and of how.

    ``port``: of the files that are read. ``settings``: of the plan, of how windows are looked at, of the threads, which
    decide the last digits, and of the versions of what computes.
    """

    port: str
    settings: str

    @property
    def run(self) -> str:
        """Both as one digest."""
        return digest([self.port, self.settings])

    def part(self, audio: str, ending: str = ".parquet") -> str:
        """The name of the part about a shard of this digest."""
        return f"{self.port[:_SHORT]}-{audio[:_SHORT]}-{self.settings[:_SHORT]}{ending}"

    def listing(self, corpus: str) -> str:
        """The name of the file that lists the parts of a whole corpus of this digest."""
        return f"{self.port[:_SHORT]}-{corpus[:_SHORT]}-{self.settings[:_SHORT]}.json"


def port_digest(subject: Subject, backends: Sequence[str], reference: str = "") -> str:
    """Hash the files that these backends read, what completes them, and what they are held against.

    That is the original, of whose weights the ports' are to be, whether it is run or not, and the word of the manifest.
    ``reference``: what was recorded of an original. Raises InputError where a file cannot be read.
    """
    reads = {implementation(name).reads for name in backends}
    held = {"transformers" if subject.folder_is_original else "fairseq"}
    if subject.original is None:
        held = {"torchaudio", "transformers"}  # the exact answer is that of a port's own weights
    files = subject.sha256(reads | held)
    beside = (subject.pretrained, subject.copy, *(path for _, path in sorted(subject.centroids.items(), key=str)))
    others = [None if path is None else sha256_of(path) for path in beside]
    records = {port: asdict(record) for port, record in subject.records.items() if port in reads}
    said = [None if subject.manifest is None else _said(subject.manifest), subject.problems, records]
    return digest([sorted(files.items()), subject.normalize, subject.geometry, others, said, reference])


def _said(manifest: Manifest) -> list[Any]:
    """What a manifest says that is held against the original: not which report lies beside the files."""
    return [manifest.name, manifest.licence, asdict(manifest.encoder), manifest.config.kwargs()]


def settings_of(plan: Plan, looking: Looking, threads: int) -> Mapping[str, Any]:
    """Everything beside the files that decides what is in a part; how shards are cut decides the audio's digest."""
    return {
        "backends": plan.backends,
        "layers": plan.layers,
        "tolerances": {name: asdict(tolerance) for name, tolerance in plan.tolerances.items()},
        "bounds": {name: asdict(bound) for name, bound in plan.bounds.items()},
        "options": {name: dict(options) for name, options in plan.options.items()},
        "window": looking.cutting.window,
        "hop": looking.cutting.hop,
        "exact_every": looking.exact_every,
        "worst": looking.worst,
        "threads": threads,
        "versions": {**versions(), **_brought(plan.backends)},
    }


def _brought(backends: Sequence[str]) -> dict[str, str | None]:
    """The versions of the packages that bring backends, and of what these run, as far as it is called as its module."""
    rows = [row for row in map(implementation, backends) if row.package]
    return {name: version_of(name) for row in rows for name in (row.package, *row.modules)}


def versions() -> dict[str, str | None]:
    """The versions of what decides the last digits: what others computed must not stand for one another's.

    Which processor it was is told by each part, as machines of one cluster may differ.
    """
    return {package: version_of(package) for package in PACKAGES}


def digest(value: Any) -> str:
    """Hash what JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
