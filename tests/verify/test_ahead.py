"""One subject's files are made while the one before it is used."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from aves_artifacts.errors import InputError
from aves_convert.ports import BUNDLE_THREADS
from aves_verify.ahead import made_ahead
from aves_verify.subject import Pending, Subject

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
