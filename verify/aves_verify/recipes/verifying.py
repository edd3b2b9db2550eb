"""Verifying shards: what a process loads once, and what it then makes of each shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import size_text
from aves_artifacts.base.processor import processor_name
from aves_artifacts.base.versions import version_of
from aves_convert.sounds.clip import SAMPLE_RATE
from aves_verify.backends.separate import about
from aves_verify.corpus.shards import Shard
from aves_verify.corpus.windows import Cutting
from aves_verify.loading.load import Loaded, load
from aves_verify.parts import part, port_check
from aves_verify.parts.identity import Identity, Looking
from aves_verify.parts.part import Facts, Part
from aves_verify.parts.port_check import PortCheck
from aves_verify.recipes.making import Made
from aves_verify.recipes.reference import Reference
from aves_verify.recipes.shard import verify_shard
from aves_verify.sounds.memory import available, needed
from aves_verify.subjects.subject import Subject
from aves_verify.verification.environment import PACKAGES
from aves_verify.verification.plan import Plan
from aves_verify.verification.self_description import fixed_samples
from aves_verify.verification.verify import PartlyVerifiedError, verify_subject


@dataclass(frozen=True)
class VerifyRecipe:
    """Verify shards of a corpus, and the port itself."""

    subject: Subject
    plan: Plan
    looking: Looking
    threads: int
    identity: Identity
    reference: Reference | None = None  # what was recorded of the original, where it is not run

    @property
    def key(self) -> str:
        """What it is."""
        return self.identity.run

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read."""
        return self.subject.paths

    def open(self, files: Mapping[Path, Path]) -> Verifier:
        """Load the encoders, with as many threads as the recipe says. Raises InputError."""
        torch.set_num_threads(self.threads)
        subject = self.subject.moved(files)
        loaded = load(subject, self.plan.backends, self.plan.options)
        check_fits(loaded, self.looking.cutting, deep=self.plan.layers == "all" or bool(loaded.named))
        return Verifier(self, subject, loaded)


@dataclass(frozen=True)
class Verifier:
    """A process with loaded encoders."""

    recipe: VerifyRecipe
    subject: Subject
    loaded: Loaded

    def make(self, spec: Shard | None) -> Made:
        """Verify a shard, or the port itself where there is none. Raises InputError where that cannot be done."""
        recipe = self.recipe
        if spec is None:
            found = check_port(self.subject, recipe.plan, environment(recipe.threads), recipe.identity.run)
            return Made(port_check.to_bytes(found), {})
        seconds = dict.fromkeys((*recipe.plan.backends, "exact"), 0.0)
        with self._with_reference(spec) as loaded:
            done = verify_shard(loaded, spec, recipe.plan, recipe.looking, seconds)
        facts = Facts(
            part.SCHEMA,
            recipe.identity.run,
            spec.audio,
            len(done.rows),
            done.windows,
            done.samples,
            {each.name: {**about(each).settings, "version": each.version} for each in self.loaded.backends},
            environment(recipe.threads),
            done.differences,
        )
        numbers = {"windows": done.windows, "sound": done.samples / SAMPLE_RATE, "forward": sum(seconds.values())}
        return Made(part.to_bytes(Part(facts, done.rows)), numbers)

    @contextmanager
    def _with_reference(self, shard: Shard) -> Iterator[Loaded]:
        """The encoders; in the original's place its recorded outputs for this shard, if those are to be used."""
        if self.recipe.reference is None:
            yield self.loaded
            return
        with self.recipe.reference.of(shard.audio) as recorded:
            yield replace(self.loaded, backends=(recorded, *self.loaded.backends[1:]))


def check_port(subject: Subject, plan: Plan, environment: Mapping[str, str], run: str = "") -> PortCheck:
    """Verify a port on the reference signals and on what the plan's seed draws.

    Raises InputError, and whatever else stops it: what was found until then is of no use to anybody.
    """
    try:
        found = verify_subject(subject, plan)
    except PartlyVerifiedError as error:
        raise error.cause from None
    return PortCheck(
        found.name,
        found.source,
        found.reference,
        dict(found.sha256),
        found.problems,
        (*filter(None, (audit.text for audit in found.audits)), *found.notes),
        {name: dict(known) for name, known in found.backends.items()},
        dict(found.weights),
        dict(environment),
        run,
        found.ran,
        found.comparisons,
    )


def check_fits(loaded: Loaded, cutting: Cutting, *, deep: bool) -> None:
    """Raise InputError where a window gives no frame, a port hears its beginning alone, or memory does not suffice.

    ``deep``: each layer's output is kept for a while.
    """
    if cutting.window_samples < loaded.config.receptive_field:
        least = loaded.config.receptive_field / SAMPLE_RATE
        raise InputError(f"a window of {cutting.window:g} s gives no frame", hint=f"give {{window}} from {least:g} on")
    fixed = fixed_samples(loaded)
    if fixed is not None and cutting.window_samples > fixed:
        raise InputError(
            f"a window of {cutting.window:g} s is longer than the {fixed} samples that a port takes",
            hint=f"give {{window}} {fixed / SAMPLE_RATE:g}",
        )
    wanted, free = needed(loaded.config, cutting.window_samples, layers=deep), available()
    if wanted > free:
        raise InputError(
            f"a window of {cutting.window:g} s takes {size_text(wanted)} of memory or so, {size_text(free)} are free",
            hint="give a shorter {window}",
        )


def environment(threads: int) -> dict[str, str]:
    """What decides the last digits where a part is made, told by each part."""
    versions = {package: version for package in PACKAGES if (version := version_of(package)) is not None}
    return {
        **versions,
        "cpu": processor_name(),
        "instructions": _instructions(),
        "threads": str(threads),
    }


def _instructions() -> str:
    """Which instructions torch computes with; the first versions of it do not tell."""
    ask = getattr(getattr(torch.backends, "cpu", None), "get_cpu_capability", None)
    return "not told" if ask is None else str(ask())
