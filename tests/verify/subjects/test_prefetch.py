"""One subject's files are made while the one before it is used."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
import torch

from aves_artifacts.base.errors import InputError
from aves_convert.conversion.bundle import BUNDLE_THREADS
from aves_verify.report.report import ConfigReport
from aves_verify.subjects.prefetch import made_ahead
from aves_verify.subjects.subject import Pending, Subject
from aves_verify.verification.plan import Plan
from aves_verify.verification.run import verify_all

PATIENCE = 30  # seconds


class Workshop:
    """Subjects whose making and removal is written down."""

    def __init__(self, broken: str = "") -> None:
        self.log: list[str] = []
        self.made = {name: threading.Event() for name in "abc"}
        self.broken = broken

    @contextmanager
    def files(self, name: str) -> Iterator[Subject]:
        if name == self.broken:
            raise InputError(f"{name} cannot be made")
        self.log.append(f"make {name}")
        self.made[name].set()
        try:
            yield Subject(name, "file", None, None, None, None)
        finally:
            self.log.append(f"remove {name}")

    def subjects(self) -> list[Pending]:
        return [Pending(name, "file", self.files(name)) for name in "abc"]


def test_the_next_is_made_while_one_is_used_and_none_before_its_turn() -> None:
    shop = Workshop()
    with made_ahead(shop.subjects(), spare=BUNDLE_THREADS) as subjects:
        assert not shop.log
        for pending, following in zip(subjects, "bc-", strict=True):
            with pending.files as subject:
                assert subject.name == pending.name
                if following in shop.made:
                    assert shop.made[following].wait(PATIENCE)
    assert shop.log == ["make a", "make b", "remove a", "make c", "remove b", "remove c"]


@pytest.mark.parametrize("spare", [0, BUNDLE_THREADS - 1])
def test_with_fewer_cores_to_spare_than_a_bundle_takes_nothing_is_made_ahead(spare: int) -> None:
    shop = Workshop()
    with made_ahead(shop.subjects(), spare=spare) as subjects:
        for pending in subjects:
            with pending.files:
                pass
    assert shop.log == ["make a", "remove a", "make b", "remove b", "make c", "remove c"]


@pytest.mark.parametrize(
    ("cores", "cpus", "allowed", "passes", "ahead"),
    [
        (8, 16, 16, 4, True),
        (8, 8, 8, 4, True),
        (4, 8, 8, 4, False),
        (8, 16, 16, 8, False),
        (16, 32, 8, 4, False),
        (16, 32, 12, 4, True),
        (None, 4, 4, 1, False),
    ],
    ids=["idle cores", "of one thread", "second threads idle", "in use", "affinity in use", "affinity", "unknown"],
)
def test_cores_are_spare_that_no_forward_pass_uses(
    cores: int | None, cpus: int, allowed: int, passes: int, ahead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda *, logical: cpus if logical else cores)
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)), raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: passes)
    given = Workshop().subjects()
    with made_ahead(given) as subjects:
        assert (subjects is not given) == ahead


def test_a_run_makes_the_next_subjects_files_while_it_verifies_one(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Workshop()

    def verify_subject(subject: Subject, *_: object) -> ConfigReport:
        if subject.name != "c":
            assert shop.made[chr(ord(subject.name) + 1)].wait(PATIENCE)
        return ConfigReport(subject.name, "file", "torchaudio", {}, (), {})

    monkeypatch.setattr("aves_verify.subjects.prefetch._cores", lambda: torch.get_num_threads() + BUNDLE_THREADS)
    monkeypatch.setattr("aves_verify.verification.run.verify_subject", verify_subject)
    run = verify_all(shop.subjects(), Plan(backends=("torchaudio", "onnx")))
    assert [config.name for config in run.report.configs] == ["a", "b", "c"]
    assert run.error is None


def test_what_was_begun_and_never_used_is_removed() -> None:
    shop = Workshop()
    with made_ahead(shop.subjects(), spare=BUNDLE_THREADS) as subjects, subjects[0].files:
        assert shop.made["b"].wait(PATIENCE)
    assert shop.log == ["make a", "make b", "remove a", "remove b"]


def test_one_that_cannot_be_made_is_told_in_its_turn_and_the_others_go_on() -> None:
    shop = Workshop(broken="b")
    with made_ahead(shop.subjects(), spare=BUNDLE_THREADS) as (first, second, third):
        with first.files:
            pass
        with pytest.raises(InputError, match="b cannot be made"), second.files:
            pass
        with third.files:
            pass
    assert shop.log == ["make a", "remove a", "make c", "remove c"]
