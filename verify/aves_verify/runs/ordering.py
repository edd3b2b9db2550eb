"""What a run over a corpus does with each subject, in one go: the audio is looked up once for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.address import Address
from aves_artifacts.files.file_record import sha256_of, unchanged
from aves_convert.graph.options import Layers
from aves_verify.corpus.windows import Cutting
from aves_verify.parts.identity import RECORDING, SIGNALS, Identity, Looking, digest, port_digest, settings_of, versions
from aves_verify.parts.listing import COMPARISONS, OUTPUTS
from aves_verify.recipes.making import Recipe
from aves_verify.runs.driving import Crew, Doing, at_work
from aves_verify.runs.run import Done, Ordered, Shards, look_up, parts_at, run
from aves_verify.subjects.subject import Pending, Subject
from aves_verify.verification.plan import Plan

if TYPE_CHECKING:
    from aves_verify.recipes.reference import Reference


def verified(
    subjects: Sequence[Pending],
    plan: Plan,
    looking: Looking,
    audio: Sequence[str],
    where: str,
    crew: Crew,
    *,
    threads: int = 1,
    seed: int | None = None,
    reference: str | None = None,
) -> Iterator[tuple[Shards, Done]]:
    """Verify subjects on a corpus one after the other, into parts at an address; yield what became of each.

    ``reference``: the address of what was recorded of the original, in its place. The ``seed`` of what is drawn for the
    port's own check follows from its files where none is given, so that it is the same for all who share the
    work. Raises InputError where there is no sound, or files cannot be used.
    """
    from aves_verify.recipes.reference import find_reference  # torch, which a recipe of somebody's own may not need

    parts, absolute = parts_at(where)
    with ExitStack() as stack:
        doing = stack.enter_context(at_work(crew, threads))
        corpus = _looked_up(looking.cutting, audio, parts, absolute, crew, doing)
        recorded, signals = None, None
        if reference is not None:
            recorded = find_reference(*parts_at(reference), corpus.shards, looking.cutting, plan.layers)
            signals = recorded.signals(Path(stack.enter_context(TemporaryDirectory(prefix="aves-reference-"))))
        for pending in subjects:
            with pending.files as subject, unchanged(*subject.files()):
                given = replace(subject, recording=signals or subject.recording)
                ordered = _verifying(given, plan, looking, threads, seed, recorded)
                yield corpus, run(ordered, corpus, parts, absolute, crew, doing)


def recorded(
    pending: Pending,
    backend: str,
    layers: Layers,
    cutting: Cutting,
    audio: Sequence[str],
    where: str,
    crew: Crew,
    *,
    threads: int = 1,
) -> tuple[Shards, Done]:
    """Record a subject's original on a corpus, into parts at an address. Raises InputError as ``verified`` does."""
    from aves_verify.recipes.recording import RecordRecipe

    parts, absolute = parts_at(where)
    with at_work(crew, threads) as doing, pending.files as subject, unchanged(*subject.files()):
        corpus = _looked_up(cutting, audio, parts, absolute, crew, doing)
        settings = [backend, layers, cutting.window, cutting.hop, threads, versions()]
        identity = Identity(port_digest(subject, (backend,)), digest(settings))
        recipe = RecordRecipe(subject, backend, layers, cutting, threads, identity)
        first = {identity.part(SIGNALS, RECORDING): None}
        ordered = Ordered(recipe, identity, OUTPUTS, subject.name, subject.source, first, layers=layers)
        return corpus, run(ordered, corpus, parts, absolute, crew, doing)


def make_parts(
    recipe: Recipe,
    audio: Sequence[str],
    parts: str,
    *,
    cutting: Cutting = Cutting(),
    crew: Crew = Crew(),
    threads: int = 1,
    settings: Sequence[object] = (),
    ending: str = ".parquet",
) -> Done:
    """Have a recipe of your own make a part of each shard of a corpus; what is there is not made again.

    ``audio``: files, folders, manifests and addresses; ``parts``: a folder or an address. ``settings``: what JSON can
    hold of all that decides what is in a part, beside the recipe's key, its files, the windows and the threads.
    ``ending``: of the parts' names. Raises InputError where nothing can be made at all.
    """
    address, absolute = parts_at(parts)
    files = [(path.name, sha256_of(path)) for path in recipe.files]
    identity = Identity(digest([recipe.key, sorted(files)]), digest([*settings, cutting.window, cutting.hop, threads]))
    with at_work(crew, threads) as doing:
        corpus = _looked_up(cutting, audio, address, absolute, crew, doing)
        ordered = Ordered(recipe, identity, recipe.key, recipe.key, "file", ending=ending)
        return run(ordered, corpus, address, absolute, crew, doing)


def _looked_up(cutting: Cutting, audio: Sequence[str], parts: Address, where: str, crew: Crew, doing: Doing) -> Shards:
    corpus = look_up(audio, cutting, parts, where, crew, doing)
    if not corpus.windows and not any(recording.reason for recording in corpus.recordings):
        raise InputError("no window in this audio; give other recordings")
    return corpus


def _verifying(
    subject: Subject, plan: Plan, looking: Looking, threads: int, seed: int | None, reference: Reference | None
) -> Ordered:
    from aves_verify.recipes.verifying import VerifyRecipe

    plan = plan.of(subject).with_threads(threads)
    port = port_digest(subject, plan.backends, "" if reference is None else reference.identity.run)
    identity = Identity(port, digest([settings_of(plan, looking, threads), seed]))
    plan = replace(plan, seed=int(port[:8], 16) % 2**31 if seed is None else seed)
    recipe = VerifyRecipe(subject, plan, looking, threads, identity, reference)
    return Ordered(
        recipe, identity, COMPARISONS, subject.name, subject.source, {identity.part(SIGNALS): None}, layers=plan.layers
    )
