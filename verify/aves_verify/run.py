"""One run of aves-verify: every subject by itself, then the report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from aves_verify.environment import environment
from aves_verify.report import ConfigReport, Report
from aves_verify.subject import Subject
from aves_verify.verification import Plan, Progress, verify


def verify_all(
    subjects: Sequence[AbstractContextManager[Subject]],
    plan: Plan,
    unreadable: Sequence[str] = (),
    progress: Progress = lambda *_: None,
) -> Report:
    """Verify subjects one after the other, so that only one's files and models exist at a time.

    ``unreadable`` are the audio files that could not be read: each is a problem of the report, and fails it.
    Raises InputError.
    """
    start = time.perf_counter()
    configs: list[ConfigReport] = []
    for prepared in subjects:
        progress("preparing", 0, 1)
        with prepared as subject:
            name = subject.name

            def show(step: str, done: int, total: int, name: str = name) -> None:
                progress(f"{name}: {step}", done, total)

            report = verify(subject, plan, show)
        configs.append(dataclasses.replace(report, problems=(*report.problems, *unreadable)))
        progress(name, 1, 1)
    return Report(
        configs=tuple(_with_twins(configs)),
        environment=environment(),
        total_seconds=time.perf_counter() - start,
    )


def _with_twins(configs: Sequence[ConfigReport]) -> Iterator[ConfigReport]:
    """The same with a problem in each whose weights another configuration has too: one of the two names is wrong."""
    for config in configs:
        twins = [
            f"{backend}: the file is byte for byte that of {other.name}: one of the two has the other's weights"
            for other in configs
            for backend, sha256 in config.sha256.items()
            if other is not config and backend != "config" and other.sha256.get(backend) == sha256
        ]
        yield dataclasses.replace(config, problems=(*config.problems, *twins))
