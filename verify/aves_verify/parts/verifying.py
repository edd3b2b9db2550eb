"""The job that verifies shards: what a worker loads once, and what it then does for each shard."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from aves_artifacts.base.processor import processor_name
from aves_artifacts.base.versions import version_of
from aves_artifacts.files.address import Address, open_address
from aves_convert.sounds.clip import SAMPLE_RATE
from aves_verify.backends.backend import implementation
from aves_verify.backends.separate import about
from aves_verify.corpus.shards import Shard
from aves_verify.loading.load import Loaded, load
from aves_verify.parts import check, part
from aves_verify.parts.identity import SIGNALS, Identity
from aves_verify.parts.part import Facts, Part
from aves_verify.parts.shard import Looking, verify_shard
from aves_verify.parts.writing import write_part
from aves_verify.subjects.subject import Subject
from aves_verify.verification.plan import Plan


@dataclass(frozen=True)
class VerifyJob:
    """Verify shards of a corpus, and the port itself; parts are written to an address."""

    subject: Subject
    plan: Plan
    looking: Looking
    threads: int
    identity: Identity
    parts: str

    @property
    def key(self) -> str:
        """What it is, and where its parts go."""
        return f"{self.identity.run} {self.parts}"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read."""
        given = [path for path in self.subject.files() if path is not None]
        beside = (path.with_name(f"{path.name}.data") for path in given if path.suffix == ".onnx")
        return (*given, *(path for path in beside if path.is_file()))

    def open(self, files: Mapping[Path, Path]) -> VerifyWorker:
        """Load the encoders, with as many threads as the job says. Raises InputError."""
        import torch

        torch.set_num_threads(self.threads)
        subject = moved(self.subject, files)
        return VerifyWorker(
            self, subject, load(subject, self.plan.backends, self.plan.options), open_address(self.parts)
        )


@dataclass
class VerifyWorker:
    """A process with loaded encoders."""

    job: VerifyJob
    subject: Subject
    loaded: Loaded
    parts: Address

    def do(self, spec: Shard | None) -> Mapping[str, float]:
        """Verify a shard, or the port itself where there is none, and write its part; return what it took."""
        began = time.perf_counter()
        if spec is None:
            found = check.check_port(self.subject, self.job.plan, environment(self.job.threads))
            write_part(self.parts, self.job.identity.part(SIGNALS), check.to_bytes(found))
            return {"windows": 0, "sound": 0.0, "seconds": time.perf_counter() - began}
        seconds = dict.fromkeys((*self.job.plan.backends, "exact"), 0.0)
        done = verify_shard(self.loaded, spec, self.job.plan, self.job.looking, seconds)
        facts = Facts(
            part.SCHEMA,
            self.job.identity.run,
            spec.audio,
            done.windows,
            done.samples,
            {each.name: {**about(each).settings, "version": each.version} for each in self.loaded.backends},
            environment(self.job.threads),
            done.differences,
        )
        write_part(self.parts, self.job.identity.part(spec.audio), part.to_bytes(Part(facts, done.rows)))
        return {
            "windows": done.windows,
            "sound": done.samples / SAMPLE_RATE,
            "forward": sum(seconds.values()),
            "seconds": time.perf_counter() - began,
        }


def with_threads(plan: Plan, threads: int) -> Plan:
    """The same plan with so many threads for each backend that has a number of its own; what was asked for stays."""
    options = {name: dict(given) for name, given in plan.options.items()}
    for name in plan.backends:
        if "threads" in implementation(name).options:
            options.setdefault(name, {}).setdefault("threads", str(threads))
    return replace(plan, options=options)


def moved(subject: Subject, files: Mapping[Path, Path]) -> Subject:
    """A subject whose files lie elsewhere."""

    def of(path: Path | None) -> Path | None:
        return None if path is None else files.get(path, path)

    folder = subject.transformers
    if folder is not None:  # all of its files lie together
        inside = next((lies for path, lies in files.items() if path.parent == folder), None)
        folder = folder if inside is None else inside.parent
    return replace(
        subject,
        fairseq=of(subject.fairseq),
        torchaudio=of(subject.torchaudio),
        config=of(subject.config),
        onnx=of(subject.onnx),
        pretrained=of(subject.pretrained),
        recording=of(subject.recording),
        heads=of(subject.heads),
        centroids={layer: files.get(path, path) for layer, path in subject.centroids.items()},
        transformers=folder,
        reduced={port: files.get(path, path) for port, path in subject.reduced.items()},
    )


def environment(threads: int) -> dict[str, str]:
    """What decides the last digits where a part is made, told by each part."""
    import torch

    from aves_verify.verification.environment import PACKAGES

    versions = {package: version for package in PACKAGES if (version := version_of(package)) is not None}
    return {
        **versions,
        "cpu": processor_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": str(threads),
    }
