import dataclasses
import json
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from aves_artifacts.base.errors import InputError
from aves_verify.comparison.compare import TOLERANCES, Comparison, Place, Quantiles, Tolerance, compare
from aves_verify.comparison.noise import ORIGINAL, OWN_ROUNDING, RELATIVE, SUSPICIOUS, NoiseFloor

DEFAULT = Tolerance()
EXACTLY = Tolerance(atol=0.0, rtol=0.0)
VALUES = st.floats(-100, 100, width=32, allow_subnormal=False)


def run(
    port: Any,
    reference: Any,
    tolerance: Tolerance = DEFAULT,
    exact: Any = None,
    *,
    left: tuple[Any, ...] = (),
    float32: bool = True,
) -> Comparison:
    if float32:
        port, reference = np.asarray(port, dtype=np.float32), np.asarray(reference, dtype=np.float32)
    return compare(
        port,
        reference,
        backend="onnx",
        reference_name="fairseq",
        clip="chirp",
        layer="final",
        tolerance=tolerance,
        exact=exact if exact is None else np.asarray(exact, dtype=np.float64),
        float32=[np.asarray(other, dtype=np.float32) for other in left],
    )


def test_two_arrays_are_enough() -> None:
    outputs = random_outputs()
    assert labels(compare(outputs, outputs)) == ("port", "reference", "", "final", DEFAULT)


def random_outputs(seed: int = 0, shape: tuple[int, ...] = (50, 16)) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


pairs = npst.array_shapes(min_dims=2, max_dims=3, max_side=5).flatmap(
    lambda shape: st.tuples(*[npst.arrays(np.float32, shape, elements=VALUES)] * 2)
)


@given(pairs)
def test_measures_follow_their_definitions(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    port, reference = arrays
    found = run(port, reference)
    a, b = port.astype(np.float64), reference.astype(np.float64)
    assert found.max_abs == np.abs(a - b).max()
    assert found.mean_abs == pytest.approx(np.abs(a - b).mean())
    assert -1 <= found.cosine_min <= 1
    assert found.max_abs_at is not None
    assert abs(found.max_abs_at.port - found.max_abs_at.reference) == found.max_abs
    index = (found.max_abs_at.batch, found.max_abs_at.frame, found.max_abs_at.dimension)[-port.ndim :]
    assert (float(port[index]), float(reference[index])) == (found.max_abs_at.port, found.max_abs_at.reference)
    assert labels(found) == ("onnx", "fairseq", "chirp", "final", DEFAULT)


def labels(found: Comparison) -> tuple[str, str, str, str, Tolerance]:
    return (found.backend, found.reference, found.clip, found.layer, found.tolerance)


@given(pairs)
def test_the_smallest_tolerance_passes_and_nothing_smaller_does(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    port, reference = arrays
    least = run(port, reference).min_tolerance
    difference = np.abs(port.astype(np.float64) - reference)
    allowance = 1 + np.abs(reference.astype(np.float64))
    assert (difference <= least * (1 + 1e-12) * allowance).all()
    if least:
        assert (difference > least * (1 - 1e-12) * allowance).any()


@given(pairs, st.sampled_from([0.0, 1e-3, 0.5, 30.0]), st.sampled_from([0.0, 1e-5, 1e-3, 0.2]))
def test_every_element_counts_in_the_verdict(arrays: tuple[np.ndarray, np.ndarray], atol: float, rtol: float) -> None:
    port, reference = arrays
    assume(not ((port == 0) & (reference != 0)).any())  # which rounding does not leave
    found = run(port, reference, Tolerance(atol=atol, rtol=rtol))
    a, b = port.astype(np.float64), reference.astype(np.float64)
    scale = max(1.0, np.sqrt(np.mean(b * b)))
    assert (found.status != "fail") == bool((np.abs(a - b) <= atol * scale + rtol * np.abs(b)).all())
    assert bool(found.reason) == (found.status != "pass")


@given(pairs, st.sampled_from([1e-4, 1e-2, 1.0, 50.0]))
def test_whatever_passes_but_fails_the_relative_test_is_near_zero_and_flagged(
    arrays: tuple[np.ndarray, np.ndarray], atol: float
) -> None:
    port, reference = arrays
    found = run(port, reference, Tolerance(atol=atol, rtol=1e-5))
    assert found.near_zero is not None
    a, b = port.astype(np.float64), reference.astype(np.float64)
    difference = np.abs(a - b)
    scale = max(1.0, np.sqrt(np.mean(b * b)))
    within = difference <= atol * scale + 1e-5 * np.abs(b)
    drifting = within & (difference > RELATIVE * np.abs(b))
    near = RELATIVE * np.abs(b) < difference.max(where=within, initial=0.0)
    assert found.near_zero.threshold == difference.max(where=within, initial=0.0) / RELATIVE
    assert found.near_zero.elements == near.sum()
    assert found.near_zero.flagged == drifting.sum() == (drifting & near).sum()
    if found.status != "fail":
        assert (found.status == "near-zero drift") == bool(drifting.any())


@given(pairs)
def test_an_array_equals_itself(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    found = run(arrays[0], arrays[0], EXACTLY)
    assert (found.status, found.reason) == ("pass", "")
    assert found.max_abs == found.max_rel == found.mean_abs == found.min_tolerance == 0
    assert found.cosine_min == pytest.approx(1)


@given(pairs)
def test_every_number_can_be_written_as_json(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    port, reference = arrays
    found = run(port, reference, exact=reference.astype(np.float64))
    json.dumps(dataclasses.asdict(found), allow_nan=False)


@given(st.floats(0.0, 0.9), st.integers(0, 2**31))
@settings(max_examples=25)
def test_a_difference_beyond_the_tolerance_anywhere_fails(share: float, seed: int) -> None:
    reference = random_outputs(seed)
    port = reference.copy()
    place = int(share * port.size)
    port.flat[place] += np.float32(0.01)
    found = run(port, reference)
    assert found.status == "fail"
    assert found.max_abs_at is not None
    assert (found.max_abs_at.frame, found.max_abs_at.dimension) == divmod(place, port.shape[1])


def test_the_defaults() -> None:
    assert Tolerance() == Tolerance(atol=5e-5, rtol=1e-5, error_ratio=4.0, own_error=1.0)
    assert (RELATIVE, OWN_ROUNDING, SUSPICIOUS, ORIGINAL) == (1e-3, 3.0, 1e-5, 8.0)
    assert {
        "torchaudio": Tolerance(1e-5, 1e-5, 4.0, 1.0),
        "transformers": Tolerance(1e-5, 1e-5, 4.0, 1.0),
        "onnx": Tolerance(5e-5, 1e-5, 4.0, 1.0),
        "reduced": Tolerance(),
        "unmeasured": Tolerance(3e-4, 1e-5, 4.0, 1.0),
    } == TOLERANCES


@pytest.mark.parametrize("name", ["atol", "rtol", "error_ratio", "own_error"])
@pytest.mark.parametrize("value", [-1e-9, math.inf, math.nan])
def test_what_is_no_tolerance_is_refused_and_named(name: str, value: float) -> None:
    assert getattr(Tolerance(**{name: 0.0}), name) == 0
    with pytest.raises(InputError, match=rf"^{name} is {value}; expected a number of 0 or more"):
        Tolerance(**{name: value})


@pytest.mark.parametrize(
    ("port", "reference", "tolerance", "passes"),
    [
        (0.5, 0.0, Tolerance(atol=0.5, rtol=0), True),
        (0.5 + 2**-20, 0.0, Tolerance(atol=0.5, rtol=0), False),
        (-0.5 - 2**-20, 0.0, Tolerance(atol=0.5, rtol=0), False),
        (1.5, 1.0, Tolerance(atol=0, rtol=0.5), True),
        (1.5 + 2**-20, 1.0, Tolerance(atol=0, rtol=0.5), False),
        (0.5, 1.0, Tolerance(atol=0, rtol=0.5), True),
        (0.5 - 2**-20, 1.0, Tolerance(atol=0, rtol=0.5), False),
        (-1.5, -1.0, Tolerance(atol=0, rtol=0.5), True),
        (1.75, 1.0, Tolerance(atol=0.5, rtol=0.25), True),
        (1.75 + 2**-20, 1.0, Tolerance(atol=0.5, rtol=0.25), False),
        (6.0, 4.0, Tolerance(atol=0.5, rtol=0), True),  # the scale: RMS 4
        (6.0 + 2**-19, 4.0, Tolerance(atol=0.5, rtol=0), False),
        (0.75, 0.25, Tolerance(atol=0.5, rtol=0), True),  # small outputs do not tighten it
    ],
)
def test_the_boundary_of_the_classical_test(port: float, reference: float, tolerance: Tolerance, passes: bool) -> None:
    found = run([[port]], [[reference]], tolerance)
    assert (found.status != "fail") == passes


def test_the_message_of_a_failure_says_what_where_how_much_and_how_much_was_allowed() -> None:
    reference = np.full((3, 4), -0.25)
    port = reference.copy()
    port[2, 1], port[0, 3] = 0.25, 0.0
    found = run(port, reference, Tolerance(atol=0.125, rtol=0))
    assert found.reason == (
        "2 of 12 elements are beyond the tolerance, the worst at frame 2, dimension 1: port 0.25, fairseq -0.25, "
        "difference 5.00e-01 where 1.25e-01 is allowed"
    )


def test_the_worst_in_the_message_is_the_one_most_beyond_what_it_is_allowed() -> None:
    found = run([[108.0, 1.0]], [[100.0, 0.0]], Tolerance(atol=0.01, rtol=0.1))
    assert found.max_abs_at == Place(batch=0, frame=0, dimension=0, port=108.0, reference=100.0)
    assert "1 of 2 elements" in found.reason
    assert "worst at frame 0, dimension 1" in found.reason


def test_the_place_is_found_in_a_batch() -> None:
    reference = random_outputs(shape=(3, 5, 4))
    port = reference.copy()
    port[2, 3, 1] += 1
    found = run(port, reference)
    assert found.max_abs_at == Place(2, 3, 1, float(port[2, 3, 1]), float(reference[2, 3, 1]))
    assert "batch 2, frame 3, dimension 1" in found.reason


@pytest.mark.parametrize(
    ("port", "reference", "reason"),
    [
        (np.zeros((5, 4)), np.zeros((5, 3)), r"the port has shape \[5, 4\], fairseq \[5, 3\]"),
        (np.zeros((5, 4)), np.zeros((6, 4)), r"the port has shape \[5, 4\], fairseq \[6, 4\]"),
        (np.zeros((1, 5, 4)), np.zeros((5, 4)), r"the port has shape \[1, 5, 4\], fairseq \[5, 4\]"),
        (np.zeros(0), np.zeros((5, 4)), r"the port has shape \[0\], fairseq \[5, 4\]"),
        (np.zeros((0, 4)), np.zeros((0, 4)), r"nothing was compared: the outputs have shape \[0, 4\]"),
        (np.zeros((2, 3, 0)), np.zeros((2, 3, 0)), r"nothing was compared"),
    ],
)
def test_another_shape_and_no_elements_fail(port: np.ndarray, reference: np.ndarray, reason: str) -> None:
    found = run(port, reference)
    assert found.status == "fail"
    assert re.search(reason, found.reason)
    assert labels(found) == ("onnx", "fairseq", "chirp", "final", DEFAULT)
    assert (found.max_abs, found.max_rel, found.mean_abs, found.min_tolerance) == (math.inf,) * 4
    assert found.cosine_min == -math.inf
    assert (found.error_ratio, found.near_zero, found.max_abs_at) == (None, None, None)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32])
def test_another_dtype_fails(dtype: type) -> None:
    ones = np.ones((2, 3), dtype=np.float32)
    found = run(ones.astype(dtype), ones, float32=False)
    assert (found.status, found.reason) == ("fail", f"the port is {np.dtype(dtype)}, expected float32")
    found = run(ones, ones.astype(dtype), float32=False)
    assert (found.status, found.reason) == ("fail", f"fairseq is {np.dtype(dtype)}, expected float32")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["the port", "fairseq", "the exact answer"])
def test_a_value_that_is_no_number_fails_wherever_it_is(value: float, side: str) -> None:
    arrays = {name: np.ones((4, 3)) for name in ("the port", "fairseq", "the exact answer")}
    arrays[side][2, 1:] = value
    found = run(arrays["the port"], arrays["fairseq"], exact=arrays["the exact answer"])
    assert found.status == "fail"
    assert found.reason == f"2 of 12 elements of {side} are NaN or infinite, the first at frame 2, dimension 1"


def test_the_same_nan_on_both_sides_fails_too() -> None:
    assert run([[np.nan]], [[np.nan]]).status == "fail"


def test_an_exact_answer_of_another_shape_or_precision_fails() -> None:
    ones = np.ones((2, 3), dtype=np.float32)
    assert "the exact answer has shape [3, 3]" in run(ones, ones, exact=np.ones((3, 3))).reason
    found = compare(
        ones,
        ones,
        backend="",
        reference_name="",
        clip="",
        layer="",
        tolerance=Tolerance(),
        exact=ones,  # type: ignore[arg-type]
    )
    assert (found.status, found.reason) == ("fail", "the exact answer is float32, expected float64")


@pytest.mark.parametrize("shape", [(), (3,), (1, 2, 3, 4)])
def test_a_reference_that_is_no_sequence_of_frames_is_a_mistake_of_the_caller(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected a reference \[frames, dim\]"):
        run(np.zeros(shape), np.zeros(shape))


def test_the_largest_relative_difference_is_placed_too() -> None:
    found = run([[100.5, 1.0], [0.25, 2.0]], [[100.0, 1.0], [0.125, 2.0]])
    assert found.max_abs_at == Place(0, 0, 0, 100.5, 100.0)
    assert (found.max_rel, found.max_rel_at) == (1.0, Place(0, 1, 0, 0.25, 0.125))


def test_the_quantiles_are_those_of_the_differences() -> None:
    steps = np.arange(1001.0)[:, None]
    found = run(steps, np.zeros((1001, 1)))
    assert found.quantiles == Quantiles(p50=500.0, p90=900.0, p99=990.0, p999=999.0)


@pytest.mark.parametrize(
    ("port", "reference", "decibels"),
    [
        ([[0.75, 0.75]], [[0.5, 0.5]], 20 * math.log10(2)),  # both under 1
        ([[11.0, 9.0]], [[10.0, 10.0]], 20.0),
        ([[30.0]], [[10.0]], 20 * math.log10(0.5)),
        ([[1.0]], [[1.0]], None),  # no noise
        ([[1.0]], [[0.0]], None),  # no signal
    ],
)
def test_the_signal_to_noise_ratio(port: Any, reference: Any, decibels: float | None) -> None:
    found = run(port, reference).snr_db
    assert found == (None if decibels is None else pytest.approx(decibels, abs=1e-12))


def test_relative_differences_are_finite_where_the_reference_is_zero() -> None:
    assert run([[0.0, 1.0]], [[0.0, 1.0]]).max_rel == 0
    assert run([[0.0, 3.0]], [[0.0, 1.0]]).max_rel == 2
    assert run([[0.0, -3.0]], [[0.0, -1.0]]).max_rel == 2
    assert run([[1.0, 1.0]], [[0.0, 1.0]]).max_rel == pytest.approx(1 / 1.1754944e-38)


@pytest.mark.parametrize(
    ("port", "reference", "cosine"),
    [
        ([[1, 0], [1, 1]], [[2, 0], [1, 1]], 1.0),
        ([[1, 0], [1, 1]], [[0, 1], [1, 1]], 0.0),
        ([[1, 0], [3, 4]], [[1, 0], [-3, -4]], -1.0),
        ([[3, 4], [1, 1]], [[4, 3], [1, 1]], 24 / 25),
        ([[0, 0]], [[0, 0]], 1.0),
        ([[0, 0]], [[0, 1]], 0.0),
        ([[1, 0]], [[0, 0]], 0.0),
        ([[1e-45, 0]], [[1e-45, 0]], 1.0),
        ([[3e38, 3e38]], [[3e38, 3e38]], 1.0),
    ],
)
def test_the_smallest_cosine_over_frames(port: Any, reference: Any, cosine: float) -> None:
    assert run(port, reference).cosine_min == pytest.approx(cosine, abs=1e-9)


def test_rounding_takes_no_cosine_beyond_one() -> None:
    frame = np.array([[-0.030583469197154045, 0.4846683144569397, 1.600356101989746]])
    longer = np.array([[-0.07590869814157486, 1.2029551267623901, 3.972111463546753]])  # 1 + 2**-52 in float64
    assert run(frame, longer).cosine_min == 1
    assert run(-frame, longer).cosine_min == -1


def test_the_error_ratio_is_the_ports_error_over_the_originals() -> None:
    exact = np.array([[1.0, -1.0]])
    assert run(exact + 2**-12, exact + 2**-14, exact=exact).error_ratio == 4
    assert run(exact - 2**-16, exact + 2**-14, exact=exact).error_ratio == 0.25
    assert run(exact, exact + 2**-14, exact=exact).error_ratio == 0
    assert (run(exact, exact).error_ratio, run(exact, exact).noise) == (None, None)
    assert run(exact, exact + 2**-14, exact=exact).noise == NoiseFloor(0.0, 2**-14, 2**-14, 1.0)


def test_the_boundary_of_the_noise_test() -> None:
    exact = np.ones((2, 2))
    loose = Tolerance(atol=1.0)
    assert run(exact + 2**-13, exact + 2**-15, loose, exact=exact).status != "fail"
    found = run(exact + 2**-13 + 2**-22, exact + 2**-15, loose, exact=exact)
    assert found.status == "fail"
    assert found.reason == (
        "the RMS error against float64 is 4.01 times fairseq's own (1.22e-04 against 3.05e-05) where 4 times is allowed"
    )
    wide = dataclasses.replace(loose, error_ratio=5)
    assert run(exact + 2**-13 + 2**-22, exact + 2**-15, wide, exact=exact).status != "fail"


def test_what_float32_leaves_of_the_input_is_allowed_too() -> None:
    exact = np.ones((2, 2))
    reference = exact + np.array([[1, -1], [-1, 1]]) * 2**-20
    port = exact + np.array([[1, -1], [-1, 1]]) * 2**-12
    assert run(port, reference, exact=exact).status == "fail"
    left = exact + np.array([[1, 0], [0, -1]]) * 2**-12
    found = run(port, reference, exact=exact, left=(reference, left))
    assert found.status == "pass"
    assert found.noise is not None
    assert found.noise.float32 == pytest.approx(2**-12.5)
    assert found.noise.float32_peak == 2**-12
    assert found.error_ratio == 2**8  # still of the original's own


def test_the_originals_own_error_can_be_left_out_of_the_difference() -> None:
    exact = np.full((2, 2), 64.0)  # large enough that an error of this size is none to doubt
    reference = exact.copy()
    reference[1, 1] += 2**-12  # its largest error
    port = exact.copy()
    port[0, 0] -= 2**-12 + 2**-13
    strict = Tolerance(atol=2**-19, rtol=0, error_ratio=1e3, own_error=0.0)
    assert run(port, reference, strict, exact=exact).status == "fail"
    lenient = dataclasses.replace(strict, own_error=1.0)
    assert run(port, reference, lenient, exact=exact).status != "fail"
    assert run(port, reference, dataclasses.replace(strict, own_error=0.9), exact=exact).status == "fail"
    port[0, 0] -= 2**-16
    assert run(port, reference, lenient, exact=exact).status == "fail"
    assert run(port, reference, dataclasses.replace(lenient, own_error=2.0), exact=exact).status != "fail"
    assert run(port, reference, lenient).status == "fail"  # without the exact answer nothing is known of it


def test_a_difference_within_the_tolerance_fails_when_it_is_no_rounding() -> None:
    """One per mille of damage on outputs that are small: only the noise floor can tell."""
    exact = 1e-3 * random_outputs().astype(np.float64)
    reference = exact.astype(np.float32)
    damaged = (exact * 1.001).astype(np.float32)
    assert run(damaged, reference).status != "fail"
    found = run(damaged, reference, exact=exact)
    assert found.status == "fail"
    assert "the RMS error against float64" in found.reason


def test_both_reasons_are_told() -> None:
    exact = np.ones((2, 2))
    tolerance, noise = run(exact + 1, exact, exact=exact).reason.split("; ")
    assert "beyond the tolerance" in tolerance
    assert noise.startswith("the RMS error against float64")


def test_an_original_that_hits_the_exact_answer_leaves_room_for_storing_float32() -> None:
    exact = random_outputs().astype(np.float64)
    stored = exact.astype(np.float32)
    neighbour = np.nextafter(stored, np.float32(np.inf))
    found = run(neighbour, stored, exact=exact)
    assert found.status == "pass"
    assert found.error_ratio is not None
    assert 1 < found.error_ratio < 8
    ones = np.ones((2, 2))
    assert run(ones + 2**-23, ones, exact=ones).error_ratio == 4  # a rounding step is four times its RMS error, roughly


def test_zeros_everywhere_are_compared_too() -> None:
    zeros = np.zeros((3, 2))
    found = run(zeros, zeros, exact=zeros)
    assert (found.status, found.error_ratio, found.max_rel, found.cosine_min) == ("pass", 0.0, 0.0, 1.0)
    assert run(zeros + 1e-30, zeros, exact=zeros).status == "fail"


def test_an_original_of_another_model_is_noticed_and_gives_no_room() -> None:
    """Otherwise a mistake that the exact encoder shares with the port would pass as the original's noise."""
    exact = np.ones((2, 2))
    reference = exact + np.array([[1, -1], [-1, 1]]) * 2**-9
    assert run(exact, reference, exact=exact).status == "fail"  # nothing is left out of the difference
    found = run(reference, reference, exact=exact, left=(exact + 2**-20,))
    assert found.status == "fail"
    assert found.reason.startswith("fairseq itself is 1.95e-03 RMS from the same encoder in float64; float32 leaves 9.")
    assert run(reference, reference, exact=exact, left=(exact + 2**-12,)).status != "fail"


def test_elements_that_rounding_does_not_leave_fail_though_they_are_within_the_tolerance() -> None:
    reference = random_outputs()
    reference[3, 5] = 4e-5
    port = reference.copy()
    port[3, 5] = 0.0
    found = run(port, reference)
    assert (found.status, found.reason) == ("fail", "1 elements are exactly 0 where fairseq is up to 4.00e-05")
    narrow = np.full((4, 16), 1e-3, np.float32)
    assert run(narrow + np.float32(1e-5), narrow).status == "near-zero drift"  # so few dimensions may be alike
    wide = np.full((4, 32), 1e-3, np.float32)
    assert "all off in one direction" in run(wide + np.float32(1e-5), wide).reason
