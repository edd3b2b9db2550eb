"""Weights that are not the original's, told tensor by tensor."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.tiny_encoders import TINY, weights

from aves_verify.comparison.weights import fingerprint, torchaudio_weights

WHERE = Path("x.pt")
LINEAR = "encoder.feature_projection.projection.bias"


def arrays(*names: str) -> dict[str, NDArray[np.float32]]:
    return {name: tensor.numpy() for name, tensor in weights(TINY).items() if not names or name in names}


def copies(*names: str) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Some tensors, twice."""
    return arrays(*names), arrays(*names)


def test_the_same_bits_are_no_problem() -> None:
    search = torchaudio_weights(*copies(), WHERE)
    assert (search.problems, search.found) == ((), search.expected)


def test_one_bit_is_told_with_its_size() -> None:
    original, ported = copies(LINEAR)
    original[LINEAR][:] = 0.5
    ported[LINEAR][:] = 0.5
    ported[LINEAR][3] = 0.5 + 2**-24
    assert list(torchaudio_weights(original, ported, WHERE).problems) == [
        f"torchaudio: {LINEAR} in x.pt is not the original's: max |difference| 5.96e-08 "
        "where the largest value is 5.00e-01"
    ]


def test_zeros_of_another_sign_are_other_bits_and_equal_nans_the_same() -> None:
    original, ported = copies(LINEAR)
    original[LINEAR][0], ported[LINEAR][0] = 0.0, -0.0
    assert len(list(torchaudio_weights(original, ported, WHERE).problems)) == 1
    original[LINEAR][0] = ported[LINEAR][0] = np.nan
    assert list(torchaudio_weights(original, ported, WHERE).problems) == []


@pytest.mark.parametrize(("dtype", "name"), [(np.float16, "float16"), (ml_dtypes.bfloat16, "bfloat16")])
def test_half_precision_is_named_as_the_cause(dtype: type[np.generic], name: str) -> None:
    original, ported = copies(LINEAR)
    ported[LINEAR] = original[LINEAR].astype(dtype).astype(np.float32)
    (problem,) = torchaudio_weights(original, ported, WHERE).problems
    assert problem.endswith(f"; it is the original's, rounded to {name}")


def test_five_are_named_and_the_others_counted() -> None:
    original, ported = copies()
    for name in list(ported)[:7]:
        ported[name] = ported[name] + 1
    problems = list(torchaudio_weights(original, ported, WHERE).problems)
    assert len(problems) == 6
    assert problems[-1] == "torchaudio: and 2 more tensors of x.pt are not the original's"
    assert all(name in problem for name, problem in zip(ported, problems[:5], strict=False))


def test_a_fingerprint_is_the_weights_own() -> None:
    original = arrays()
    known = fingerprint(original)
    assert fingerprint(dict(reversed(original.items()))) == known
    assert fingerprint({name: tensor.copy() for name, tensor in original.items()}) == known
    name, tensor = next((name, tensor) for name, tensor in original.items() if tensor.ndim > 1)
    assert fingerprint({**original, name: np.nextafter(tensor, np.float32(9))}) != known
    assert fingerprint({**original, name: tensor.flatten()}) != known
    assert fingerprint({**original, name: tensor.astype(np.float64)}) != known
    assert fingerprint({(f"{n}x" if n == name else n): t for n, t in original.items()}) != known
    assert fingerprint({n: t for n, t in original.items() if n != name}) != known


def test_a_fingerprint_does_not_depend_on_the_layout_in_memory() -> None:
    turned = {"w": np.arange(6, dtype=np.float32).reshape(2, 3).T}
    assert fingerprint(turned) == fingerprint({"w": np.ascontiguousarray(turned["w"])})
