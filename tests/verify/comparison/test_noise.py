"""The noise floor and the elements near zero, on arrays small enough to check by hand."""

import numpy as np
import pytest

from aves_verify.comparison.noise import (
    NOT_ROUNDING,
    OWN_ROUNDING,
    RELATIVE,
    NearZero,
    NoiseFloor,
    beyond_noise,
    drift,
    near_zero,
    noise_floor,
    relative,
    rms,
)

EXACT = np.array([[3.0, -4.0], [0.0, 5.0]])
FLAGGED = NearZero(threshold=0.0123, elements=7, flagged=5, max_rel=0.5, max_abs=6e-6)


def test_errors_are_root_mean_squares_of_the_distance_from_the_exact_answer() -> None:
    port, reference = EXACT.copy(), EXACT.copy()
    port[0, 0] += 2**-8
    reference[0, 1], reference[1, 0] = EXACT[0, 1] - 2**-10, EXACT[1, 0] + 2**-11
    found = noise_floor(port, reference, EXACT)
    assert found.port == 2**-9
    assert found.reference == pytest.approx(np.sqrt((2**-20 + 2**-22) / 4))
    assert found.reference_peak == 2**-10
    assert found.scale == np.sqrt(50 / 4)
    assert found.ratio == found.port / found.reference


def test_the_floor_is_never_under_what_storing_in_float32_loses() -> None:
    found = noise_floor(EXACT, EXACT, EXACT)
    assert found.reference == found.reference_peak == 2**-25 * np.sqrt(50 / 4)
    assert found.ratio == 0
    zeros = np.zeros((2, 2))
    nothing = noise_floor(zeros, zeros, zeros)
    assert nothing.scale == np.finfo(np.float32).tiny
    assert nothing.ratio == 0


@pytest.mark.parametrize("peak", [2**-8, 2**-25])
def test_the_peak_and_the_rms_have_floors_of_their_own(peak: float) -> None:
    """One large error in many elements: the RMS is lifted to the floor, the peak is not."""
    exact = np.ones((1000, 1000))
    reference = exact.copy()
    reference[500, 500] += peak
    found = noise_floor(exact, reference, exact)
    assert found.reference_peak == peak
    assert found.reference == max(peak / 1000, 2**-25)


def test_without_the_exact_answer_nothing_is_beyond_the_noise() -> None:
    assert list(beyond_noise(None, 0.0, "fairseq")) == []


def test_an_error_at_the_limits_is_no_reason_and_one_beyond_is() -> None:
    noise = NoiseFloor(port=8e-6, reference=2e-6, reference_peak=1e-5, scale=2.0)
    assert list(beyond_noise(noise, 4.0, "fairseq")) == []
    assert list(beyond_noise(noise, 3.999, "the original")) == [
        "the RMS error against float64 is 4 times the original's own (8.00e-06 against 2.00e-06) "
        "where 3.999 times is allowed"
    ]


def test_an_original_that_is_no_rounding_away_from_float64_is_told_before_the_port() -> None:
    at_limit = NoiseFloor(port=0.0, reference=NOT_ROUNDING * 2, reference_peak=1.0, scale=2.0)
    assert list(beyond_noise(at_limit, 4.0, "fairseq")) == []
    noise = NoiseFloor(port=1.0, reference=0.0021, reference_peak=1.0, scale=2.0)
    original, port = beyond_noise(noise, 4.0, "fairseq")
    assert original == (
        "fairseq itself is 2.10e-03 RMS from the same encoder in float64, where outputs have RMS 2.00e+00: "
        "that is no rounding, one of the two is another model"
    )
    assert port.startswith("the RMS error against float64 is 476 times fairseq's own")


def test_what_is_no_number_is_beyond_the_noise() -> None:
    noise = NoiseFloor(port=np.nan, reference=np.nan, reference_peak=np.nan, scale=1.0)
    assert len(list(beyond_noise(noise, 4.0, "fairseq"))) == 2


def near(difference: list[float], reference: list[float], noise: NoiseFloor | None = None, rtol: float = 0) -> NearZero:
    everywhere = np.ones(len(difference), dtype=bool)
    return near_zero(np.array(difference), np.array(reference), everywhere, rtol, noise)


def test_the_threshold_is_the_largest_difference_let_pass_over_the_relative_limit() -> None:
    found = near([2e-6, 1e-6, 5e-7], [1.0, 5e-4, 1e-3])
    assert found.threshold == 2e-6 / RELATIVE
    assert (found.elements, found.flagged) == (2, 1)  # 1e-3 is near zero too, its difference only half of the limit
    assert found.max_rel == 2e-3
    assert found.max_abs == 1e-6


def test_the_originals_own_rounding_makes_the_threshold_where_it_is_more() -> None:
    noise = NoiseFloor(port=1e-6, reference=1e-6, reference_peak=1e-6, scale=1.0)
    found = near([2e-6, 2.9e-6, 1e-9], [1.0, -1e-4, 2e-3], noise)
    assert found.threshold == OWN_ROUNDING * 1e-6 / RELATIVE
    assert (found.elements, found.flagged) == (2, 0)
    found = near([2e-6, 3.1e-6, 1e-9], [1.0, -1e-4, 2e-3], noise)
    assert found.flagged == 1


def test_what_is_beyond_the_tolerance_is_never_flagged_and_does_not_move_the_threshold() -> None:
    difference, reference = np.array([1e-6, 0.5, 2e-7]), np.array([5e-4, 0.0, 1.0])
    found = near_zero(difference, reference, np.array([True, False, True]), 0.0, None)
    assert found.threshold == 1e-6 / RELATIVE
    assert (found.elements, found.flagged) == (2, 1)
    assert found.max_abs == 0.5


def test_a_wider_relative_tolerance_takes_the_limits_place() -> None:
    found = near([0.01, 0.001], [1.0, 0.04], rtol=0.02)
    assert found.threshold == 0.5
    assert (found.elements, found.flagged) == (1, 1)
    assert near([0.01, 0.001], [1.0, 0.06], rtol=0.02).flagged == 0


def test_where_nothing_is_near_zero_nothing_is_measured_there() -> None:
    assert near([0.0, 0.0], [1.0, 0.0]) == NearZero(threshold=0.0, elements=0, flagged=0, max_rel=0.0, max_abs=0.0)
    assert near([1e-6], [2.0]).elements == 0
    noise = NoiseFloor(port=1.0, reference=1.0, reference_peak=1.0, scale=1.0)
    assert near([0.0], [0.0], noise).elements == 1


def test_drift_in_words() -> None:
    told = "5 of 100 elements fail a relative test because the reference is near zero (below 0.012); "
    told += "the absolute difference there is at most 6.00e-06"
    assert drift(FLAGGED, None, 100, "fairseq") == told
    noise = NoiseFloor(port=1.0, reference=1.0, reference_peak=1.5e-6, scale=1.0)
    assert drift(FLAGGED, noise, 100, "the original") == (
        told + ", 4 times the original's own largest rounding error: more than the original has itself"
    )
    assert drift(NearZero(1.0, 7, 0, 0.5, 6e-6), noise, 100, "fairseq") == ""


def test_relative_differences() -> None:
    tiny = float(np.finfo(np.float32).tiny)
    found = relative(np.array([1.0, 1.0, 0.0, tiny, tiny / 2]), np.array([-4.0, 0.0, 0.0, tiny, tiny / 2]))
    assert found.tolist() == [0.25, 1 / tiny, 0.0, 1.0, 0.5]


def test_the_root_mean_square() -> None:
    assert rms(np.array([3.0, -4.0, 0.0, 0.0])) == 2.5
