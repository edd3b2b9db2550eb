"""Counts of differences by size, which add up without any error."""

import numpy as np
import pytest

from aves_verify.parts.differences import added, counted, quantile, upper_edge


def test_each_lies_below_the_edge_of_its_bin_and_not_far() -> None:
    values = np.random.default_rng(1).lognormal(-12, 4, 2_000)
    for value in values:
        (index,) = counted(np.array([-value]))
        assert np.float32(value) < upper_edge(index)
        assert np.float32(value) >= upper_edge(index - 1)
        assert upper_edge(index) <= 1.125 * upper_edge(index - 1)


def test_parts_add_up_to_the_whole() -> None:
    values = np.random.default_rng(2).normal(size=(40, 50)) * 1e-6
    whole = counted(values)
    assert (
        added([counted(values[:7]), counted(values[7:])]) == whole == added([counted(values[7:]), counted(values[:7])])
    )
    assert sum(whole.values()) == values.size


def test_zeros_and_what_is_no_number() -> None:
    assert counted(np.zeros(5)) == {0: 5}
    assert counted(np.zeros(0)) == {}
    assert sum(counted(np.array([np.inf, np.nan, 1e300])).values()) == 3
    assert quantile({0: 5}, 0.5) == 0.0
    assert quantile({}, 0.5) == 0.0


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 0.999])
def test_quantiles_are_at_most_an_eighth_too_large(share: float) -> None:
    values = np.abs(np.random.default_rng(3).normal(size=100_000))
    exact = float(np.quantile(values, share, method="inverted_cdf"))
    assert exact <= quantile(counted(values), share) <= 1.126 * exact
