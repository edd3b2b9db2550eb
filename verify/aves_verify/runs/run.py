"""A run over a corpus, from its audio to parts that are all there: what is done already is not done again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.address import Address, open_address
from aves_verify.corpus.index import Recording
from aves_verify.corpus.listing import list_audio
from aves_verify.corpus.shards import Shard, audio_digest, cut
from aves_verify.corpus.windows import Cutting
from aves_verify.drivers.job import Outcome, Task
from aves_verify.parts.identity import Identity
from aves_verify.parts.listing import KIND, SCHEMA, Listing
from aves_verify.parts.writing import damaged_parts, sweep, whole_parts, write_part
from aves_verify.recipes.making import PartJob, Recipe
from aves_verify.runs.driving import Crew, Doing, added_up
from aves_verify.runs.indexing import index


@dataclass(frozen=True)
class Ordered:
    """What is to be done with a corpus: a recipe, and what its parts are known by.

    ``what`` the parts hold, and the ``ending`` of their names; ``first``: the names of parts about no shard, and what
    they are made of.
    """

    recipe: Recipe
    identity: Identity
    what: str
    name: str
    source: str
    first: Mapping[str, object] = field(default_factory=dict)
    ending: str = ".parquet"
    layers: str = "last"  # whether parts hold something of every layer


@dataclass(frozen=True)
class Shards:
    """The shards of a corpus, and the recordings that they are cut from."""

    recordings: Sequence[Recording]
    shards: tuple[Shard, ...]
    cutting: Cutting

    @property
    def windows(self) -> int:
        """How many windows there are to look at."""
        return sum(shard.windows for shard in self.shards)

    @property
    def seconds(self) -> float:
        """How long all windows together are."""
        return 3600 * sum(shard.hours for shard in self.shards)


@dataclass(frozen=True)
class Done:
    """What became of a run: its parts, those that were there before, and those that are missing, each with a reason.

    ``others``: parts that belong to other processes' shares and are not there. ``numbers`` of what was done, added up.
    """

    listing: str
    parts: int
    there: int
    made: int
    missing: Mapping[str, str]
    others: int
    stopped: str
    numbers: Mapping[str, float]
    seconds: float


def parts_at(where: str) -> tuple[Address, str]:
    """Open the address that parts are written to, a folder's path made absolute. Raises InputError."""
    if "://" in where:
        return open_address(where), where
    path = Path(where).absolute()
    if path.exists() and not path.is_dir():
        raise InputError(f"{where}: this is a file; give a folder for the parts, or an address")
    return open_address(str(path)), str(path)


def look_up(audio: Sequence[str], cutting: Cutting, parts: Address, where: str, crew: Crew, doing: Doing) -> Shards:
    """List and index what ``audio`` names, and cut it into shards. Raises InputError where there is no sound."""
    entries = list_audio(audio)
    recordings = index(parts, where, entries, lambda job, tasks: doing(job, tasks, ()), crew.first)
    return Shards(recordings, cut(recordings, cutting), cutting)


def run(ordered: Ordered, corpus: Shards, parts: Address, where: str, crew: Crew, doing: Doing) -> Done:
    """Do what is missing of a run, this process's share of it. Raises InputError where nothing can be done at all."""
    began = time.perf_counter()
    identity = ordered.identity
    tasks = [
        *(Task(name, (name, spec), 1) for name, spec in ordered.first.items()),
        *(
            Task(name, (name, shard), max(1, shard.windows))
            for shard in sorted(corpus.shards, key=lambda shard: -shard.windows)  # the longest would end alone
            for name in [identity.part(shard.audio, ordered.ending)]
        ),
    ]
    listing = identity.listing(audio_digest(corpus.shards))
    write_part(parts, listing, _listing(ordered, corpus).to_bytes())
    own = crew.own(tasks)
    names = frozenset(task.name for task in own)
    there = whole_parts(parts, names)
    damaged = damaged_parts(parts, there) if crew.check else frozenset[str]()
    there -= damaged
    wanted = [task for task in own if task.name not in there]
    job = PartJob(ordered.recipe, where, identity.run, damaged)
    outcome = doing(job, wanted, [task for task in own if task.name in there])
    lost = _lost(parts, names, there, outcome, crew)
    sweep(parts)
    others = len(tasks) - len(own) and len({task.name for task in tasks} - names - set(parts.listed()))
    return Done(
        listing,
        len(tasks),
        sum(task.name in there for task in own),
        len(outcome.done),
        {**lost, **outcome.missing},
        others,
        outcome.stopped,
        added_up(outcome),
        time.perf_counter() - began,
    )


def _listing(ordered: Ordered, corpus: Shards) -> Listing:
    return Listing(
        SCHEMA,
        KIND,
        ordered.what,
        ordered.name,
        ordered.source,
        ordered.identity.port,
        ordered.identity.settings,
        audio_digest(corpus.shards),
        len(corpus.recordings),
        corpus.windows,
        corpus.seconds,
        corpus.cutting.window,
        corpus.cutting.hop,
        tuple(shard.audio for shard in corpus.shards),
        ordered.layers,
    )


def _lost(parts: Address, names: frozenset[str], there: frozenset[str], outcome: Outcome, crew: Crew) -> dict[str, str]:
    """The parts that are not there in the end, with why; whatever a driver says, they are looked for.

    Raises InputError where workers wrote into a folder of their own.
    """
    if outcome.stopped:
        return dict.fromkeys(sorted(names - there - set(outcome.done)), outcome.stopped)
    lost = sorted(names - whole_parts(parts, names))
    if crew.scheduler is not None and outcome.done and set(outcome.done) <= set(lost):
        raise InputError(
            f"{parts.url}: holds no {min(outcome.done)}, which a worker wrote: workers do not see this folder; give "
            "one that all share, or an address such as s3://"
        )
    return dict.fromkeys(lost, "not there, or cut off, though it was made: somebody removed or changed it")
