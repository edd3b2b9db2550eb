"""Verifying several encoders, one after the other, into one report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.file_record import unchanged
from aves_verify.backends.backend import DEFAULT, REFERENCES
from aves_verify.backends.fairseq_import import import_hubert
from aves_verify.report.report import ConfigReport, Report
from aves_verify.subjects.prefetch import made_ahead
from aves_verify.subjects.subject import Pending, Subject, ready
from aves_verify.verification.environment import environment
from aves_verify.verification.plan import Plan, check_comparable
from aves_verify.verification.progress import Progress
from aves_verify.verification.verify import PartlyVerifiedError, verify_subject, why_stopped


@dataclass(frozen=True)
class Run:
    """The report of a run, and the error that it has to end with once that is told."""

    report: Report
    error: BaseException | None = None  # bad input, Ctrl-C or SIGTERM; None where every subject was verified

    @property
    def compared(self) -> bool:
        """Whether there is anything to report but the error."""
        return any(config.comparisons for config in self.report.configs)


def verify(subject: Subject, plan: Plan = Plan(), progress: Progress = lambda *_: None) -> Report:
    """Run an encoder's original and its ports on the same sounds, and compare what they give.

    ``subject`` is of ``of_bundle``. The reference is fairseq, or TorchAudio where ``plan`` leaves fairseq out; weights
    are compared too, bit for bit. Whether all is well says ``passed`` of the report: a port that computes something
    else raises nothing. ``progress`` is told what is going on, with the steps done and in all. Raises InputError for a
    file that is missing or unusable.
    """
    run = verify_all([ready(subject)], plan, progress=progress)
    if run.error is not None:
        raise run.error
    return run.report


def verify_all(
    subjects: Sequence[Pending],
    plan: Plan,
    unreadable: Sequence[str] = (),
    progress: Progress = lambda *_: None,
) -> Run:
    """Verify subjects one after the other, so that only one's models exist at a time.

    ``unreadable`` are the audio files that could not be read: each is a problem of the report, and fails it. A subject
    that cannot be used does not lose the others, nor does a stopped run lose what it had compared: either is told in
    the report, and given back as the error. One is raised where fairseq does not import, before anything is made.
    """
    check_comparable(plan)
    if "fairseq" in (plan.backends or DEFAULT) and any(pending.has_original for pending in subjects):
        import_hubert()  # seconds, and better told now than after a gigabyte of files is made
    start = time.perf_counter()
    configs: list[ConfigReport] = []
    errors: list[BaseException] = []
    try:
        with made_ahead(subjects) as prepared:
            for pending in prepared:
                try:
                    configs.append(_verify(pending, plan, unreadable, progress))
                except PartlyVerifiedError as partly:
                    configs.append(partly.report)
                    if not isinstance(partly.cause, InputError):
                        raise partly.cause from None
                    errors.append(partly.cause)
                except InputError as error:
                    errors.append(error)
                    configs.append(_not_verified(pending, plan, *error.problems))
                progress(pending.name, 1, 1)
    except BaseException as error:  # whatever stops the run must not lose the hours before it
        errors.insert(0, error)
        configs += [
            _not_verified(missed, plan, f"not verified: {why_stopped(error)}") for missed in subjects[len(configs) :]
        ]
    report = Report(tuple(_with_twins(configs)), environment(), time.perf_counter() - start)
    return Run(report, errors[0] if errors else None)


def unfinished(subjects: Sequence[Pending], plan: Plan) -> Report:
    """The report of a run that has not ended: it stands in the place of an earlier one until there is another."""
    configs = (_not_verified(pending, plan, "not verified: the run has not ended") for pending in subjects)
    return Report(tuple(configs), environment(), 0.0)


def _verify(pending: Pending, plan: Plan, unreadable: Sequence[str], progress: Progress) -> ConfigReport:
    def show(step: str, done: int, total: int) -> None:
        progress(f"{pending.name}: {step}", done, total)

    progress("preparing", 0, 1)
    with pending.files as subject, unchanged(*subject.files()):
        report = verify_subject(subject, plan, show)
    return dataclasses.replace(report, problems=(*report.problems, *unreadable))


def _not_verified(pending: Pending, plan: Plan, *problems: str) -> ConfigReport:
    """What a report has of a subject that gave no numbers."""
    backends = plan.backends or DEFAULT
    reference = next(name for name in REFERENCES if name in backends)
    return ConfigReport(pending.name, pending.source, reference, {}, (), dict.fromkeys(backends, 0.0), problems)


def _with_twins(configs: Sequence[ConfigReport]) -> Iterator[ConfigReport]:
    """The same with a problem in each whose weights another configuration has too: one of the two names is wrong."""
    for config in configs:
        twins = [
            f"{file}: the file is byte for byte that of {other.name}: one of the two has the other's weights"
            for other in configs
            for file, sha256 in config.sha256.items()
            if other is not config and file != "config" and other.sha256.get(file) == sha256
        ]
        yield dataclasses.replace(config, problems=(*config.problems, *twins))
