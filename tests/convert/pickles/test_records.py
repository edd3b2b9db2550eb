"""Records of what a pickle would have made."""

from __future__ import annotations

from aves_convert.pickles.records import Global, Record


def test_records_are_told_apart_by_identity() -> None:
    one, other = Record(Global("a", "B")), Record(Global("a", "B"))

    assert len({one, other}) == 2
