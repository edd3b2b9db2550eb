"""What a run over a corpus does with each subject, in one go: the audio is looked up once for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.file_record import unchanged
from aves_verify.parts.driving import Crew, at_work
from aves_verify.parts.identity import SIGNALS, Identity, identity_of
from aves_verify.parts.run import Corpus, Done, Ordered, look_up, parts_at, run
from aves_verify.parts.shard import Looking
from aves_verify.parts.verdict import COMPARISONS
from aves_verify.parts.verifying import VerifyJob, with_threads
from aves_verify.subjects.subject import Pending, Subject
from aves_verify.verification.plan import Plan


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
) -> Iterator[tuple[Corpus, Done]]:
    """Verify subjects on a corpus one after the other, into parts at an address; yield what became of each.

    The ``seed`` of what is drawn for the port's own check follows from its files where none is given, so that it is
    the same for all who share the work. Raises InputError where there is no sound, or files cannot be used.
    """
    parts, absolute = parts_at(where)
    with at_work(crew, threads) as doing:
        corpus = look_up(audio, looking.cutting, parts, absolute, crew, doing)
        if not corpus.windows and not any(recording.reason for recording in corpus.recordings):
            raise InputError("no window in this audio; give other recordings")
        for pending in subjects:
            with pending.files as subject, unchanged(*subject.files()):
                ordered = _ordered(subject, plan, looking, absolute, threads, seed)
                yield corpus, run(ordered, corpus, parts, crew, doing)


def _ordered(subject: Subject, plan: Plan, looking: Looking, where: str, threads: int, seed: int | None) -> Ordered:
    plan = with_threads(plan.of(subject), threads)
    identity = identity_of(subject, plan, looking, threads)
    plan = replace(plan, seed=_seed(identity) if seed is None else seed)
    job = VerifyJob(subject, plan, looking, threads, identity, where)
    return Ordered(job, identity, COMPARISONS, subject.name, subject.source, {identity.part(SIGNALS): None})


def _seed(identity: Identity) -> int:
    return int(identity.port[:8], 16) % 2**31
