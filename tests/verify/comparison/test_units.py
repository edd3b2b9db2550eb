"""Comparing units: a flip passes where rounding decides between two centroids, and nowhere else."""

import dataclasses

import numpy as np
import pytest

from aves_verify.comparison.compare import Comparison, Tolerance
from aves_verify.comparison.units import Nearest, compare_units

DIM, COUNT, FRAMES = 16, 12, 400
DRAW = np.random.default_rng(0)
CENTROIDS = DRAW.standard_normal((COUNT, DIM)).astype(np.float32)
EXACT = DRAW.standard_normal((1, FRAMES, DIM))


def nearest_of(features: np.ndarray, centroids: np.ndarray = CENTROIDS) -> np.ndarray:
    distances = ((features[..., None, :].astype(np.float64) - centroids) ** 2).sum(-1)
    found: np.ndarray = distances.argmin(-1)
    return found


def given(exact: np.ndarray = EXACT, noise: float = 1e-6) -> Nearest:
    own = (exact + noise * np.random.default_rng(1).standard_normal(exact.shape)).astype(np.float32)
    return Nearest(exact, own, CENTROIDS)


def compared(port: np.ndarray, reference: np.ndarray, nearest: Nearest | None = None) -> Comparison:
    return compare_units(
        port,
        reference,
        nearest,
        backend="onnx",
        reference_name="fairseq",
        clip="x",
        layer="layer.0.units",
        tolerance=Tolerance(),
    )


def test_equal_units_pass_and_say_how_many_frames() -> None:
    units = nearest_of(EXACT)
    found = compared(units, units.copy())
    assert (found.status, found.reason, found.max_abs, found.mean_abs, found.cosine_min) == ("pass", "", 0, 0, 1)
    assert found.flips is not None
    assert (found.flips.frames, found.flips.flipped) == (FRAMES, 0)


def between(step: float) -> np.ndarray:
    """Features of which one frame lies between the first two centroids, ``step`` from the middle to the first."""
    exact = EXACT.copy()
    a, b = CENTROIDS[:2].astype(np.float64)
    exact[0, 7] = (a + b) / 2 + step * (a - b) / np.linalg.norm(a - b)
    return exact


def test_a_flip_that_rounding_decides_passes_and_is_told() -> None:
    exact = between(1e-7)
    reference = nearest_of(exact)
    port = reference.copy()
    assert reference[0, 7] in (0, 1)
    port[0, 7] = 1 - reference[0, 7]
    found = compared(port, reference, given(exact))
    assert (found.status, found.max_abs, found.mean_abs) == ("pass", 1, 1 / FRAMES)
    assert found.flips is not None
    assert (found.flips.flipped, found.flips.unexplained) == (1, 0)
    assert 0 < found.flips.margin <= found.flips.explained < 1e-4


def test_a_flip_beyond_rounding_fails_and_names_frame_and_margin() -> None:
    exact = between(1e-3)
    reference = nearest_of(exact)
    port = reference.copy()
    port[0, 7] = 1 - reference[0, 7]
    found = compared(port, reference, given(exact))
    assert found.status == "fail"
    assert found.reason.startswith(
        "1 of 400 frames have another unit, the first is frame 7: port 1, fairseq 0; rounding"
    )
    assert found.flips is not None
    assert found.flips.unexplained == 1
    assert found.flips.margin > found.flips.explained


def test_more_rounding_of_the_original_explains_more() -> None:
    exact = between(1e-4)
    reference = nearest_of(exact)
    port = reference.copy()
    port[0, 7] = 1 - reference[0, 7]
    assert compared(port, reference, given(exact, 1e-6)).status == "fail"
    assert compared(port, reference, given(exact, 1e-3)).status == "pass"


def test_centroids_in_another_order_fail_everywhere() -> None:
    reference = nearest_of(EXACT)
    found = compared((reference + 1) % COUNT, reference, given())
    assert found.flips is not None
    assert found.flips.flipped == found.flips.unexplained == FRAMES


@pytest.mark.parametrize("unit", [-1, COUNT])
def test_a_unit_that_there_is_not_fails(unit: int) -> None:
    reference = nearest_of(EXACT)
    port = reference.copy()
    port[0, 0] = unit
    assert compared(port, reference, given()).reason.endswith("there are 12 units")


def test_without_the_exact_features_every_flip_fails() -> None:
    reference = nearest_of(EXACT)
    port = reference.copy()
    port[0, 3] = (port[0, 3] + 1) % COUNT
    assert "nothing tells whether rounding explains it" in compared(port, reference).reason


@pytest.mark.parametrize(
    ("port", "told"),
    [
        (nearest_of(EXACT).astype(np.int32), "the port is int32, expected int64"),
        (nearest_of(EXACT).astype(np.float32), "the port is float32, expected int64"),
        (nearest_of(EXACT)[:, 1:], "has shape [1, 399], fairseq [1, 400]"),
    ],
)
def test_what_is_no_array_of_units_fails(port: np.ndarray, told: str) -> None:
    found = compared(port, nearest_of(EXACT), given())
    assert found.status == "fail"
    assert told in found.reason
    assert not np.isfinite(found.max_abs)


def test_nothing_compared_is_a_failure() -> None:
    empty = np.zeros((1, 0), np.int64)
    assert compared(empty, empty).status == "fail"


def test_one_centroid_alone_is_every_frames() -> None:
    units = np.zeros((1, FRAMES), np.int64)
    one = dataclasses.replace(given(), centroids=CENTROIDS[:1])
    assert compared(units, units, one).status == "pass"
