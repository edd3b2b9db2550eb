"""The noise floor and the elements near zero, on arrays small enough to check by hand."""

import numpy as np
import pytest

from aves_verify.comparison.noise import (
    MEASURE,
    ORIGINAL,
    OWN_ROUNDING,
    RELATIVE,
    SUSPICIOUS,
    NearZero,
    NoiseFloor,
    beyond_noise,
    drift,
    near_zero,
    no_drift,
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


def test_what_float32_leaves_is_the_larger_of_the_other_ways() -> None:
    one, other = EXACT.copy(), EXACT.copy()
    one[0, 0] += 2**-9
    other[1] += 2**-10
    found = noise_floor(EXACT, EXACT, EXACT, [one, other])
    assert found.float32 == pytest.approx(2**-10)
    assert found.float32_peak == 2**-9
    assert noise_floor(EXACT, EXACT, EXACT, [EXACT]).float32 == 2**-25 * np.sqrt(50 / 4)
    assert noise_floor(EXACT, EXACT, EXACT, [EXACT]).float32_peak == 2**-25 * np.sqrt(50 / 4)
    assert (noise_floor(EXACT, EXACT, EXACT).float32, noise_floor(EXACT, EXACT, EXACT).float32_peak) == (None, None)


def test_another_way_that_overflows_is_no_measure() -> None:
    broken = np.where(EXACT == 5, np.inf, EXACT)
    assert noise_floor(EXACT, EXACT, EXACT, [broken]).float32 is None
    assert noise_floor(EXACT, EXACT, EXACT, [broken, EXACT + 2**-9]).float32 == 2**-9


def floor(reference: float, float32: float | None = None, *, port: float | None = None) -> NoiseFloor:
    return NoiseFloor(
        reference if port is None else port,
        reference,
        3 * reference,
        2.0,
        float32,
        None if float32 is None else 5 * float32,
    )


def test_what_a_correct_encoder_may_be_off_by() -> None:
    assert floor(1e-6).rounding == 1e-6
    assert floor(1e-6, 1e-5).rounding == 1e-5
    assert floor(1e-5, 1e-6).rounding == 1e-5
    assert floor(1e-6).room == 3e-6
    assert floor(1e-6, 1e-5).room == pytest.approx(3e-6 + 1e-4)


def test_an_original_far_from_float64_is_in_doubt_until_somebody_has_looked() -> None:
    at_limit = SUSPICIOUS * 2.0
    assert not floor(at_limit).is_doubtful
    assert floor(at_limit).room == 3 * at_limit
    beyond = floor(at_limit * (1 + 1e-9))
    assert beyond.is_doubtful
    assert beyond.room == 0.0
    assert not floor(at_limit * 2, 1e-9).is_doubtful
    assert floor(np.nan).is_doubtful


def test_a_port_that_is_much_nearer_to_float64_brings_the_original_into_doubt() -> None:
    assert not floor(1e-6, port=1e-6 / ORIGINAL).is_doubtful
    nearer = floor(1e-6, port=0.99e-6 / ORIGINAL)
    assert nearer.is_doubtful
    assert nearer.room == 0.0
    looked = floor(1e-6, 1e-5, port=1e-9)
    assert not looked.is_doubtful
    assert looked.room == 3e-6  # which needs no more


def test_an_original_that_is_farther_off_than_float32_leaves_is_told_before_the_port() -> None:
    assert list(beyond_noise(floor(ORIGINAL * 2**-10, 2**-10), 4.0, "fairseq")) == []
    assert list(beyond_noise(floor(1.0), 4.0, "fairseq")) == []  # nobody has looked
    noise = NoiseFloor(port=1.0, reference=0.0021, reference_peak=1.0, scale=2.0, float32=2e-4, float32_peak=1e-3)
    original, port = beyond_noise(noise, 4.0, "fairseq")
    assert original == (
        "fairseq itself is 2.10e-03 RMS from the same encoder in float64; float32 leaves 2.00e-04 of this input: "
        "that is no rounding, one of the two is another model"
    )
    assert port == (
        "the RMS error against float64 is 476 times fairseq's own (1.00e+00 against 2.10e-03) where 4 times is "
        "allowed; float32 leaves 2.00e-04 of this input"
    )


def test_what_float32_leaves_of_the_input_is_allowed_as_often_as_the_original_s_own() -> None:
    assert list(beyond_noise(floor(1e-6, 2**-15, port=4 * 2**-15), 4.0, "fairseq")) == []
    assert len(list(beyond_noise(floor(1e-6, 2**-15, port=4 * 2**-15 + 2**-30), 4.0, "fairseq"))) == 1


def test_what_is_no_number_is_beyond_the_noise() -> None:
    noise = NoiseFloor(port=np.nan, reference=np.nan, reference_peak=np.nan, scale=1.0, float32=1.0, float32_peak=1.0)
    assert len(list(beyond_noise(noise, 4.0, "fairseq"))) == 2


def near(difference: list[float], reference: list[float], noise: NoiseFloor | None = None, rtol: float = 0) -> NearZero:
    everywhere = np.ones(len(difference), dtype=bool)
    found, flagged = near_zero(np.array(difference), np.array(reference), everywhere, rtol, noise)
    assert np.count_nonzero(flagged) == found.flagged
    return found


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
    found, flagged = near_zero(difference, reference, np.array([True, False, True]), 0.0, None)
    assert flagged.tolist() == [True, False, False]
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


def told(port: np.ndarray, reference: np.ndarray, flagged: np.ndarray | None = None) -> list[str]:
    everywhere = np.ones(port.shape, dtype=bool) if flagged is None else flagged
    return list(no_drift(port, reference, everywhere, "fairseq"))


def test_zeros_are_no_drift() -> None:
    reference = np.full((1, 2, 3), 2e-5)
    port = reference + 1e-6
    port[0, 1, 2] = 0.0
    reference[0, 1, 2] = -3e-5
    assert told(port, reference) == ["1 elements are exactly 0 where fairseq is up to 3.00e-05"]
    flagged = np.ones(port.shape, dtype=bool)
    flagged[0, 1, 2] = False
    assert told(port, reference, flagged) == []


ALTERNATING = np.where(np.arange(60).reshape(1, 3, 20) % 2, 1e-5, -1e-5)


def test_what_is_off_in_one_direction_is_no_drift() -> None:
    up = ALTERNATING + 1e-6
    assert told(up, ALTERNATING) == ["60 elements near zero are all off in one direction, which rounding is not"]
    assert told(2 * ALTERNATING - up, ALTERNATING) == told(up, ALTERNATING)
    message = "60 elements near zero are all off in one direction, seen from zero, which rounding is not"
    assert told(ALTERNATING * 0.9, ALTERNATING) == [message]
    assert told(ALTERNATING * 1.1, ALTERNATING) == [message]


def test_one_dimension_that_differs_or_one_too_few_is_drift() -> None:
    port = ALTERNATING + 1e-6
    port[..., 7] -= 2e-6
    assert told(port, ALTERNATING) == []
    assert told((ALTERNATING + 1e-6)[..., :19], ALTERNATING[..., :19]) == []
    flagged = np.ones(port.shape, dtype=bool)
    flagged[..., 3] = False
    assert told(ALTERNATING + 1e-6, ALTERNATING, flagged) == []
    flagged[0, 1, 3] = True  # one element of a dimension is enough
    assert told(ALTERNATING + 1e-6, ALTERNATING, flagged)[0].startswith("58 elements")


def test_a_dimension_has_the_direction_of_most_of_its_error() -> None:
    port = ALTERNATING + 3e-6
    port[0, 1] -= 4e-6
    assert len(told(port, ALTERNATING)) == 1
    flagged = np.ones(port.shape, dtype=bool)
    flagged[0, 1] = False  # of elements that are not flagged nothing is asked
    port[0, 1] -= 1e-3
    assert told(port, ALTERNATING, flagged)[0].startswith("40 elements")


def test_relative_differences() -> None:
    tiny = float(np.finfo(np.float32).tiny)
    found = relative(np.array([1.0, 1.0, 0.0, tiny, tiny / 2]), np.array([-4.0, 0.0, 0.0, tiny, tiny / 2]))
    assert found.tolist() == [0.25, 1 / tiny, 0.0, 1.0, 0.5]


def test_the_root_mean_square() -> None:
    assert rms(np.array([3.0, -4.0, 0.0, 0.0])) == 2.5


def test_a_way_that_loses_more_than_a_tenth_of_the_answer_is_no_measure() -> None:
    error = np.array([[MEASURE, -MEASURE], [MEASURE, MEASURE]]) * rms(EXACT)
    assert noise_floor(EXACT, EXACT, EXACT, [EXACT + 1.001 * error]).float32 is None
    assert noise_floor(EXACT, EXACT, EXACT, [EXACT + 0.999 * error]).float32 == pytest.approx(0.0999 * rms(EXACT))
