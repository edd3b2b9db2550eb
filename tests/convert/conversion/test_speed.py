"""Where a smaller graph is not a faster one, that is said."""

from __future__ import annotations

import pytest

from aves_convert.conversion import speed
from aves_convert.conversion.speed import speed_remarks
from aves_convert.graph.options import OnnxOptions


@pytest.mark.parametrize(("has", "told"), [(True, 0), (None, 0), (False, 1)])
def test_eight_bits_on_a_processor_without_instructions(
    has: bool | None, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "multiplies_int8", lambda: has)
    lines = list(speed_remarks(OnnxOptions(precision="int8")))
    assert len(lines) == told
    assert all("no instructions for products of eight bits, such as VNNI" in line for line in lines)


def test_half_precision_is_for_others() -> None:
    assert ["for GPUs and browsers" in line for line in speed_remarks(OnnxOptions(precision="float16"))] == [True]
    assert list(speed_remarks(OnnxOptions(weights="float16"))) == []
    assert list(speed_remarks(OnnxOptions())) == []
