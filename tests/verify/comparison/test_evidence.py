"""What is kept for a report's pictures."""

from __future__ import annotations

import numpy as np
import pytest

from aves_verify.comparison.compare import TOLERANCES, Comparison, compare
from aves_verify.comparison.evidence import KEPT, Kept

SHAPE = (1, 3, 4)
REFERENCE = np.ones(SHAPE, np.float32)


def add(kept: Kept, clip: str, difference: float) -> Comparison:
    port = REFERENCE + np.float32(difference)
    compared = compare(
        port,
        REFERENCE,
        backend="onnx",
        reference_name="fairseq",
        clip=clip,
        layer="final",
        tolerance=TOLERANCES["onnx"],
    )
    kept.add(compared, port, REFERENCE)
    return compared


@pytest.mark.parametrize("turn", [1, -1])
def test_the_worst_clips_are_kept_in_whatever_order_they_come(turn: int) -> None:
    kept = Kept()
    for number in range(3 * KEPT)[::turn]:
        add(kept, str(number), number * 1e-6)
    assert {clip for _, clip in kept.found()} == {str(number) for number in range(2 * KEPT, 3 * KEPT)}


def test_of_equals_the_first_are_kept() -> None:
    kept = Kept()
    for number in range(KEPT + 2):
        add(kept, str(number), 1e-6)
    assert list(kept.found()) == [("onnx", str(number)) for number in range(KEPT)]


def test_a_failure_outweighs_a_larger_difference_that_passes() -> None:
    """A tolerance may be relative: large outputs differ by more."""
    kept = Kept()
    failing = add(kept, "failing", 1e-2)
    assert failing.status == "fail"
    for number in range(KEPT):
        port = 1e6 * REFERENCE + np.float32(1)
        passing = compare(
            port,
            1e6 * REFERENCE,
            backend="onnx",
            reference_name="fairseq",
            clip=str(number),
            layer="final",
            tolerance=TOLERANCES["onnx"],
        )
        assert (passing.status, passing.max_abs > failing.max_abs) == ("pass", True)
        kept.add(passing, port, 1e6 * REFERENCE)
    assert ("onnx", "failing") in kept.found()


def test_what_cannot_be_compared_is_not_kept() -> None:
    kept = Kept()
    for port in (REFERENCE[:, :2], np.full(SHAPE, np.nan, np.float32), REFERENCE[:, :0]):
        compared = compare(
            port,
            REFERENCE,
            backend="onnx",
            reference_name="fairseq",
            clip="x",
            layer="final",
            tolerance=TOLERANCES["onnx"],
        )
        kept.add(compared, port, REFERENCE)
    assert kept.found() == {}
