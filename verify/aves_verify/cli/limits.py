"""What the options of tolerances and bounds mean: each kind of port has its own, and some of it may be given."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from aves_artifacts.base.errors import InputError
from aves_verify.comparison.compare import TOLERANCES, Bound, Tolerance
from aves_verify.comparison.reduced import BOUNDS


def tolerances_of(atol: float | None, rtol: float | None) -> Mapping[str, Tolerance]:
    """The tolerance of each kind of port, with what was given. Raises InputError for what is none."""
    given = {name: value for name, value in (("atol", atol), ("rtol", rtol)) if value is not None}
    if given:
        given["own_error"] = 0.0  # who gives a tolerance means that and nothing beside it
    return {name: dataclasses.replace(default, **given) for name, default in TOLERANCES.items()}


def bounds_of(min_snr: float | None, min_cosine: float | None, *, has_reduced: bool) -> Mapping[str, Bound]:
    """What each smaller graph may cost, with what was given. Raises InputError where there is none that it is for."""
    asked = {name: value for name, value in (("min_snr", min_snr), ("min_cosine", min_cosine)) if value is not None}
    if asked and not has_reduced:
        raise InputError("--min-snr and --min-cosine are for smaller graphs; give them with --reduced, or in a bundle")
    return {port: dataclasses.replace(default, **asked) for port, default in BOUNDS.items()}


def is_looser(bound: Bound, default: Bound) -> bool:
    """Whether it allows a smaller graph to cost more than the default does."""
    return bound.min_snr < default.min_snr or bound.min_cosine < default.min_cosine
