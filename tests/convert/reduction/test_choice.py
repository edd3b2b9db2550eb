"""The choice of what stays wide, on tables of numbers."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from aves_convert.reduction.choice import Burden, choose


def burden(shares: list[list[float]], prices: list[float], fixed: list[float] | None = None) -> Burden:
    table = np.array(shares)
    return Burden(np.array(prices), table, np.zeros(table.shape[1]) if fixed is None else np.array(fixed))


def test_nothing_is_wide_where_every_limit_holds() -> None:
    assert choose(burden([[0.5, 0.1], [0.5, 0.2]], [1, 1])) == ()


def test_what_helps_most_for_its_bytes_is_taken() -> None:
    """The third helps more than the second, and costs four times as much."""
    assert choose(burden([[0.3], [0.5], [0.7]], [1, 1, 4])) == (1,)


def test_what_the_end_makes_needless_is_taken_out_again() -> None:
    """The cheap one comes first for its bytes, and does nothing once the one that is needed is wide."""
    assert choose(burden([[0.2], [1.4]], [1, 10])) == (1,)


def test_every_limit_is_held_and_not_the_first_alone() -> None:
    assert choose(burden([[1.1, 0.0], [0.0, 1.1], [0.3, 0.3]], [1, 1, 9])) == (0, 1)


def test_noise_that_is_there_whatever_is_wide_counts() -> None:
    shares = [[0.3], [0.2]]
    assert choose(burden(shares, [1, 1], [0.4])) == ()
    assert choose(burden(shares, [1, 1], [0.6])) == (0,)
    assert choose(burden(shares, [1, 1], [0.9])) == (0, 1)
    assert choose(burden(shares, [1, 1], [1.1])) is None


def test_lower_limits_take_more() -> None:
    table = burden([[0.3], [0.3], [0.3]], [1, 1, 1])
    wide = [choose(table, tightness) for tightness in (0, 1, 3, 5, 60)]
    assert [len(each) for each in wide if each is not None] == [0, 1, 2, 2, 3]


SHARES = arrays.arrays(np.float64, (7, 4), elements=st.floats(0, 0.7))
PRICES = arrays.arrays(np.float64, 7, elements=st.sampled_from([1.0, 3.0, 4.0]))


@given(SHARES, PRICES)
def test_a_choice_holds_can_lose_nothing_and_is_near_the_cheapest(shares: np.ndarray, prices: np.ndarray) -> None:
    table = Burden(prices, shares, np.zeros(4))
    wide = choose(table)
    assert wide is not None
    assert table.holds(wide)
    assert not any(table.holds([i for i in wide if i != left_out]) for left_out in wide)
    sets = (each for count in range(8) for each in itertools.combinations(range(7), count))
    cheapest = min(table.price(each) for each in sets if table.holds(each))
    assert table.price(wide) <= 2 * cheapest
    assert choose(table) == wide


def test_of_a_single_limit_the_cheapest_of_all_sets_is_found() -> None:
    """On a table where the products differ as those of a real encoder do."""
    generator = np.random.default_rng(3)
    shares = generator.uniform(0.1, 0.4, (12, 1))
    table = Burden(np.array([1.0, 1, 1, 1, 4, 4] * 2), shares, np.zeros(1))
    sets = (each for count in range(13) for each in itertools.combinations(range(12), count))
    cheapest = min(table.price(each) for each in sets if table.holds(each))
    wide = choose(table)
    assert wide is not None
    assert table.price(wide) <= cheapest + 1
