"""The original's functions as coarsely as runtimes have them: right but for rounding, and coarse where they are."""

from collections.abc import Callable

import pytest
import torch
from tests.support.tiny_encoders import rms
from torch import Tensor

from aves_verify.audit import functions as f

GENERATOR = torch.Generator().manual_seed(0)
WEIGHTS = {"n.weight": torch.ones(8), "n.bias": torch.zeros(8)}


def real(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR)


def error(compute: Callable[..., Tensor], exact: Callable[..., Tensor], *inputs: Tensor) -> float:
    """Of float32 against float64, over the values' size."""
    wanted = exact(WEIGHTS.__getitem__, *(x.double() for x in inputs))
    return rms((compute(WEIGHTS.__getitem__, *inputs).double() - wanted).numpy()) / rms(wanted.numpy())


def norm(name: str, x: Tensor) -> float:
    kinds: dict[str, Callable[..., Tensor]] = {
        "own": lambda w, x: f.group_norm("n", lambda name: w(name).to(x.dtype), x),
        "squares": lambda w, x: f.coarse_group_norm(False, "n", w, x),
        "deviations": lambda w, x: f.coarse_group_norm(True, "n", w, x),
    }
    return error(kinds[name], kinds["own"], x)


def test_a_variance_from_squares_is_coarse_where_the_mean_is_large() -> None:
    x = real(1, 8, 2000) + 100
    assert norm("squares", x) > 5 * norm("deviations", x)
    assert norm("deviations", x) > norm("own", x) / 4


def test_a_variance_from_deviations_is_coarse_where_one_is_much_larger_than_the_others() -> None:
    x = torch.zeros(1, 8, 3000)
    x[:, :, 10] = 1 + real(8).abs()
    assert norm("deviations", x) > 5 * max(norm("squares", x), norm("own", x))


@pytest.mark.parametrize("kind", ["layer", "turned", "channel"])
@pytest.mark.parametrize("two_passes", [False, True])
def test_norms_of_every_layout_are_right_but_for_rounding(kind: str, two_passes: bool) -> None:
    x = real(2, 5, 8) if kind == "layer" else real(2, 8, 5)
    own = getattr(f, f"{kind}_norm")
    coarse = getattr(f, f"coarse_{kind}_norm")
    assert (
        error(lambda w, x: coarse(two_passes, "n", w, x), lambda w, x: own("n", lambda name: w(name).to(x.dtype), x), x)
        < 1e-6
    )


def test_attention_is_right_but_for_rounding() -> None:
    q, k, v, shares = real(2, 7, 8), real(2, 7, 8), real(2, 7, 8), torch.rand((2, 4, 7, 7), generator=GENERATOR)
    assert error(lambda w, *x: f.coarse_scores(4, w, *x), lambda w, *x: f.scores(4, w, *x), q, k) < 1e-6
    assert error(f.coarse_softmax, f.softmax, shares) < 1e-6
    assert error(f.coarse_attend, f.attend, shares, v) < 1e-6


def test_gelu_is_off_by_half_a_step_of_one_plus_erf() -> None:
    """In float64, for in float32 torch's own error is added, which is another with other instructions."""
    x = real(100).double()
    found = f.coarse_gelu(WEIGHTS.__getitem__, x) - torch.nn.functional.gelu(x)
    assert rms(found.numpy()) == pytest.approx(2**-24 * rms(x.numpy()), rel=1e-6)
