"""How large an error is, against what float32 leaves."""

import numpy as np
import pytest

from aves_verify.audit.errors import coarser, measure, rms, yardstick

EPS = float(np.finfo(np.float32).eps)
EXACT = np.random.default_rng(0).normal(size=(1, 50, 60))
ROUNDED = EXACT.astype(np.float32).astype(np.float64)


def test_storing_the_answer_is_the_least_that_float32_leaves() -> None:
    found = yardstick(EXACT, EXACT, 1)
    assert found.rms == pytest.approx(EPS / 4 * rms(EXACT))
    error = measure(ROUNDED, EXACT, found)
    assert 0.5 < error.ratio < 1.2
    assert error.peak < 1.01
    assert error.relative == pytest.approx(error.ratio * EPS / 4)


def test_a_sum_may_have_the_error_of_adding_one_by_one() -> None:
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(1000, 256)).astype(np.float32)
    one_by_one = np.add.accumulate(factors, axis=1)[:, -1].astype(np.float64)
    exact = factors.astype(np.float64).sum(axis=1)
    assert rms(one_by_one - exact) == pytest.approx(yardstick(exact[None], exact[None], 256).rms, rel=0.15)


def test_the_original_s_own_error_counts_where_it_is_more() -> None:
    own = EXACT * (1 + 1e-5)
    assert yardstick(own, EXACT, 256).rms == pytest.approx(1e-5 * rms(EXACT))
    assert measure(EXACT * (1 + 2e-5), EXACT, yardstick(own, EXACT, 1)).ratio == pytest.approx(2)


def test_one_element_shows_by_its_peak_alone() -> None:
    value = ROUNDED.copy()
    value[0, 3, 7] += 1e-5
    error = measure(value, EXACT, yardstick(ROUNDED, EXACT, 1))
    assert error.ratio < 10
    assert error.peak > 100


def test_a_large_channel_does_not_hide_an_element_of_another() -> None:
    exact = EXACT.copy()
    exact[..., 0] *= 1e4
    rounded = exact.astype(np.float32).astype(np.float64)
    value = rounded.copy()
    value[0, 3, 7] += 1e-3
    error = measure(value, exact, yardstick(rounded, exact, 1))
    assert error.ratio < 4
    assert error.peak > 20


def test_of_two_ways_the_coarser_counts_for_each_element() -> None:
    one, other = EXACT.copy(), EXACT.copy()
    one[0, 3] += 1e-4
    other[0, 4] += 1e-5
    found = coarser(yardstick(one, EXACT, 1), yardstick(other, EXACT, 1))
    assert found.rms == yardstick(one, EXACT, 1).rms
    assert found.each[0, 3, 0] > found.each[0, 4, 0] > found.each[0, 5, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_infinitely_wrong(bad: float) -> None:
    value = ROUNDED.copy()
    value[0, 0, 0] = bad
    error = measure(value, EXACT, yardstick(ROUNDED, EXACT, 1))
    assert (error.relative, error.ratio, error.peak) == (np.inf, np.inf, np.inf)


def test_an_answer_of_zeros_has_a_size() -> None:
    zero = np.zeros((1, 3, 3))
    assert measure(zero, zero, yardstick(zero, zero, 1)).ratio == 0
    assert measure(zero + 1e-30, zero, yardstick(zero, zero, 1)).ratio > 1
