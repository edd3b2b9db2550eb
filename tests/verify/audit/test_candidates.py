"""Finding a value by what it holds, in any layout."""

import numpy as np
import pytest

from aves_verify.audit.candidates import Candidates, distance, layouts

RNG = np.random.default_rng(0)
SINGLE = RNG.normal(size=(1, 7, 5))
BATCH = RNG.normal(size=(3, 7, 5))
SCORES = RNG.normal(size=(2, 4, 7, 7))


@pytest.mark.parametrize(
    ("wanted", "stored"),
    [
        (SINGLE, SINGLE),
        (SINGLE, SINGLE[0]),
        (SINGLE, SINGLE[0].T),
        (SINGLE, SINGLE[0].T[None, :, None, :]),
        (BATCH, BATCH.transpose(1, 0, 2)),
        (BATCH, BATCH.transpose(0, 2, 1)),
        (BATCH, BATCH.reshape(21, 5)),
        (BATCH, BATCH.reshape(21, 5).T),
        (BATCH, BATCH.transpose(1, 0, 2).reshape(21, 5)),
        (SCORES, SCORES),
        (SCORES, SCORES.reshape(8, 7, 7)),
    ],
    ids=range(11),
)
def test_a_value_is_found_in_every_layout(wanted: np.ndarray, stored: np.ndarray) -> None:
    noise = RNG.normal(size=stored.size).reshape(stored.shape)
    values = {"noise": noise.astype(np.float32), "it": stored.astype(np.float32), "other size": np.zeros(3, np.float32)}
    found = Candidates(values).nearest(wanted)
    assert found is not None
    assert found[0] == "it"
    np.testing.assert_allclose(found[1], wanted, rtol=1e-6)


def test_of_several_the_nearest_is_found_though_few_elements_are_looked_at() -> None:
    wanted = RNG.normal(size=(1, 200, 300))
    values = {f"{i}": (wanted + 1e-6 * i).astype(np.float32) for i in (3, 1, 2)}
    far = {"nan": np.full(wanted.shape, np.nan, np.float32), "inf": np.full(wanted.shape, np.inf, np.float32)}
    found = Candidates({**far, **values}).nearest(wanted)
    assert found is not None
    assert found[0] == "1"


def test_a_frame_too_many_is_cut_only_where_it_may_be() -> None:
    stored = RNG.normal(size=(1, 5, 8)).astype(np.float32)  # channels first, a frame too many
    wanted = stored[:, :, :7].transpose(0, 2, 1).astype(np.float64)
    candidates = Candidates({"conv": stored})
    assert candidates.nearest(wanted) is None
    found = candidates.nearest(wanted, longer=True)
    assert found is not None
    assert np.array_equal(found[1], wanted)


def test_whole_numbers_and_empty_arrays_are_no_candidates() -> None:
    values = {"whole": np.ones((1, 7, 5), np.int64), "none": np.zeros((0,), np.float32)}
    assert Candidates(values).nearest(SINGLE) is None


def test_half_precision_is_a_candidate() -> None:
    assert Candidates({"half": SINGLE.astype(np.float16)}).nearest(SINGLE) is not None


def test_an_ambiguous_layout_is_tried_both_ways() -> None:
    square = RNG.normal(size=(1, 6, 6))
    assert len(list(layouts(square, (1, 6, 6)))) == 2
    found = Candidates({"it": square[0].T}).nearest(square)
    assert found is not None
    assert np.array_equal(found[1], square)


def test_what_is_no_number_is_infinitely_far() -> None:
    assert distance(np.array([np.nan]), np.zeros(1)) == np.inf
    assert distance(np.array([3.0, 4.0]), np.zeros(2)) == pytest.approx(np.sqrt(12.5))
