"""Smaller graphs are held to what they may cost: a bound decides, and what is no number fails whatever it is."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.manifest import REDUCED
from aves_verify.comparison.compare import Bound, Comparison, Flips
from aves_verify.comparison.reduced import BOUNDS, compare_reduced, held_to_flips

DRAW = np.random.default_rng(0)
REFERENCE = DRAW.standard_normal((1, 60, 24)).astype(np.float32)
BOUND = Bound(min_snr=30.0, min_cosine=0.999, max_flips=0.1)


def compared(port: NDArray[np.float32], bound: Bound = BOUND) -> Comparison:
    return compare_reduced(
        port, REFERENCE, bound, backend="onnx.int8", reference_name="fairseq", clip="x", layer="final"
    )


def noisy(snr: float) -> NDArray[np.float32]:
    noise = np.random.default_rng(1).standard_normal(REFERENCE.shape)
    noise *= np.linalg.norm(REFERENCE) / np.linalg.norm(noise) * 10 ** (-snr / 20)
    return (REFERENCE + noise).astype(np.float32)


def test_what_costs_less_than_it_may_passes_by_a_name_of_its_own() -> None:
    found = compared(noisy(35))
    assert (found.status, found.reason, found.bound) == ("pass (reduced)", "", BOUND)
    assert found.cost is not None
    assert found.cost.snr == pytest.approx(35, abs=1e-3)
    assert found.near_zero is None
    assert found.max_abs > 0


@pytest.mark.parametrize("snr", [29.9, 10.0, -20.0])
def test_what_costs_more_fails_and_says_how_much(snr: float) -> None:
    found = compared(noisy(snr))
    assert found.status == "fail"
    assert f"{snr:.1f} dB over its noise, where 30 is asked for" in found.reason


def test_a_single_frame_that_is_turned_fails_though_the_clip_does_not() -> None:
    port = noisy(60)
    port[0, 7] += 0.1 * np.roll(port[0, 7], 1)
    found = compared(port)
    assert found.status == "fail"
    assert found.cost is not None
    assert found.cost.snr > 30
    assert "where 0.999 is asked for" in found.reason
    assert compared(port, dataclasses.replace(BOUND, min_cosine=0.9)).status == "pass (reduced)"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_fails(value: float) -> None:
    port = REFERENCE.copy()
    port[0, 3, 3] = value
    assert compared(port, Bound(0.0, -1.0)).status == "fail"


def test_another_shape_or_type_fails() -> None:
    for port in (REFERENCE[:, :-1], REFERENCE.astype(np.float16), REFERENCE[:, :0]):
        assert compared(port, Bound(0.0, -1.0)).status == "fail"


def test_equal_outputs_pass_as_reduced_all_the_same() -> None:
    found = compared(REFERENCE.copy())
    assert found.status == "pass (reduced)"
    assert found.cost is not None
    assert math.isinf(found.cost.snr)


@pytest.mark.parametrize(("flipped", "status"), [(0, "pass (reduced)"), (6, "pass (reduced)"), (7, "fail")])
def test_units_are_held_to_a_share_of_flips(flipped: int, status: str) -> None:
    units = dataclasses.replace(compared(REFERENCE), status="fail", flips=Flips(60, flipped, flipped), reason="flips")
    found = held_to_flips(units, BOUND)
    assert found.status == status
    assert (found.reason == "7 of 60 frames have another unit, where 6 may") is (status == "fail")


def test_in_a_short_clip_two_frames_may_flip() -> None:
    for flipped, status in ((2, "pass (reduced)"), (3, "fail")):
        units = dataclasses.replace(compared(REFERENCE), status="fail", flips=Flips(4, flipped, 0))
        assert held_to_flips(units, BOUND).status == status


@pytest.mark.parametrize("change", [{"min_snr": -1.0}, {"min_cosine": 1.5}, {"max_flips": math.nan}])
def test_what_is_no_bound_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected a number from"):
        dataclasses.replace(BOUND, **change)


def test_every_smaller_graph_has_a_bound_that_half_precision_reaches_with_ease() -> None:
    assert BOUNDS.keys() == REDUCED.keys()
    assert BOUNDS["onnx.float16-weights"].min_snr > BOUNDS["onnx.float16"].min_snr > BOUNDS["onnx.int8"].min_snr > 20
