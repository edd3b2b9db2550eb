"""Bounds, and how far something is within them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aves_artifacts.base.errors import InputError
from aves_convert.graph.options import OnnxOptions
from aves_convert.reduction.bounds import Bounds, Search, Worst, cosine_of, decibels, noise_of
from aves_convert.reduction.cost import Cost


def worst(snr: float, cosine: float) -> Worst:
    return Worst(snr, "a", cosine, "b")


@pytest.mark.parametrize("ratio", [0.0, -3.0, 101.0, math.nan, math.inf])
def test_ratios_that_nothing_or_everything_reaches_are_refused(ratio: float) -> None:
    with pytest.raises(InputError, match=r"no bound: a signal-to-noise ratio of .* expected more than 0"):
        Bounds(ratio)


@pytest.mark.parametrize("cosine", [0.0, 1.0, -0.5, 1.5, math.nan, math.inf])
def test_cosines_that_nothing_or_everything_reaches_are_refused(cosine: float) -> None:
    with pytest.raises(InputError, match=r"no bound: a cosine of .* expected more than 0 and less than 1"):
        Bounds(min_cosine=cosine)


def test_a_margin_is_that_of_the_bound_that_is_nearest() -> None:
    assert Bounds(30).margin(worst(31.5, 0.0)) == pytest.approx(1.5)
    assert Bounds(30, 0.999).margin(worst(40, 0.999)) == pytest.approx(0)
    assert Bounds(30, 0.999).margin(worst(29, 0.9999)) == pytest.approx(-1)
    assert Bounds(None, 0.9).margin(worst(-math.inf, 1.0)) == math.inf
    assert Bounds(None, 0.9).margin(worst(30, -0.2)) == -math.inf


@given(st.floats(0.01, 0.999999))
def test_a_cosine_and_its_noise_are_two_words_for_one_thing(cosine: float) -> None:
    assert cosine_of(noise_of(cosine)) == pytest.approx(cosine)


@given(st.floats(0.5, 0.9999), st.floats(0.0, 12.0))
def test_so_many_decibels_less_noise_is_that_margin(cosine: float, margin: float) -> None:
    better = cosine_of(noise_of(cosine) * 10 ** (-margin / 10))
    assert Bounds(None, cosine).margin(worst(0, better)) == pytest.approx(margin, abs=1e-6)


def test_the_worst_is_found_by_either_measure_and_rounded_down() -> None:
    costs = {"a": Cost(30.12399, 1, 1, 0.99949999999, 1), "b": Cost(31.0, 1, 1, 0.99912345678, 1)}
    assert Worst.of(costs) == Worst(30.123, "a", 0.99912345, "b")
    equal = Cost(math.inf, math.inf, math.inf, 1.0, 1.0)
    assert Worst.of({"a": equal}) == Worst(math.inf, "a", 1.0, "a")


def test_ratios_and_bounds_are_said_in_words() -> None:
    assert [decibels(each) for each in (30.04, math.inf, -math.inf)] == ["30.0 dB", "no noise", "nothing but noise"]
    assert str(Bounds(30, 0.999)) == "30 dB in every clip and a cosine of 0.999 in every frame"


@pytest.mark.parametrize(
    ("search", "options", "told"),
    [
        (Search(Bounds()), OnnxOptions(precision="int8"), "without a bound"),
        (Search(Bounds(30)), OnnxOptions(), "whose precision is float32"),
        (Search(Bounds(30)), OnnxOptions(precision="float16"), "whose precision is float16"),
        (Search(Bounds(30)), OnnxOptions(precision="int8", exporter="torch"), "traced graph has no int8"),
    ],
)
def test_a_search_for_nothing_is_refused_before_any_work(search: Search, options: OnnxOptions, told: str) -> None:
    with pytest.raises(InputError, match=told):
        search.check(options)
