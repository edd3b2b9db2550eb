"""What a reduced output costs, against numbers that are known beforehand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aves_convert.reduction.cost import Cost, cost

EXACT = np.random.default_rng(0).standard_normal((50, 24)).astype(np.float32)


def noisy(decibels: float, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(EXACT.shape)
    size = np.linalg.norm(EXACT.astype(np.float64)) / np.linalg.norm(noise) * 10 ** (-decibels / 20)
    return EXACT.astype(np.float64) + size * noise


def test_equal_arrays_cost_nothing() -> None:
    assert cost(EXACT, EXACT) == Cost(math.inf, math.inf, math.inf, 1.0, 1.0)


@pytest.mark.parametrize("decibels", [0.0, 20.0, 30.0, 100.0])
def test_noise_of_so_many_decibels_costs_so_many(decibels: float) -> None:
    found = cost(noisy(decibels), EXACT)
    assert found.snr == pytest.approx(decibels, abs=1e-9)
    assert found.worst_frame_snr < found.median_frame_snr
    assert found.worst_frame_snr < decibels


def test_a_batch_is_all_its_frames() -> None:
    found = cost(noisy(25), EXACT)
    assert cost(noisy(25).reshape(2, 25, 24), EXACT.reshape(2, 25, 24)) == found


def test_the_worst_frame_is_one_frame() -> None:
    port = EXACT.copy()
    port[17] *= -1
    found = cost(port, EXACT)
    assert found.worst_cosine == -1.0
    assert found.worst_frame_snr == pytest.approx(20 * math.log10(0.5))
    assert (found.median_cosine, found.median_frame_snr) == (1.0, math.inf)


@given(st.floats(1e-9, 0.5), st.floats(1e-3, 1e3))
def test_cosines_are_exact_near_one_and_know_no_length(angle: float, length: float) -> None:
    exact, port = np.array([[1.0, 0.0]]), length * np.array([[math.cos(angle), math.sin(angle)]])
    found = cost(port, exact)
    assert 1 - found.worst_cosine == pytest.approx(2 * math.sin(angle / 2) ** 2, rel=1e-6, abs=3e-16)


def test_silence_costs_nothing_where_it_stays_silence() -> None:
    zeros = np.zeros_like(EXACT)
    assert cost(zeros, zeros) == Cost(math.inf, math.inf, math.inf, 1.0, 1.0)
    assert cost(EXACT, zeros) == Cost(-math.inf, -math.inf, -math.inf, 0.0, 0.0)
    assert cost(zeros, EXACT) == Cost(0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_the_worst(bad: float) -> None:
    port = EXACT.copy()
    port[3, 4] = bad
    for found in (cost(port, EXACT), cost(EXACT, port)):
        assert (found.snr, found.worst_frame_snr, found.worst_cosine) == (-math.inf, -math.inf, -1.0)
        assert found.median_cosine == 1.0


def test_squares_that_float32_does_not_hold_are_no_trouble() -> None:
    assert cost(np.float32([[1e30, 1e30]]), np.float32([[1e30, 0]])).snr == pytest.approx(0.0)


@pytest.mark.parametrize("shapes", [((2, 3), (3, 2)), ((3,), (3,)), ((0, 3), (0, 3))])
def test_what_is_no_two_times_frames_is_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="frames"):
        cost(*(np.zeros(shape) for shape in shapes))
