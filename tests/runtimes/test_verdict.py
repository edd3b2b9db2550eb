"""The rule for a good cell, and what is told of cells that were good."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.runtimes.inputs import Answers, Input
from tests.runtimes.running import Run
from tests.runtimes.verdict import judged, measured, of_allowed, original_errors, regressions

EXACT = np.zeros((1, 2, 3))
PLAIN, SHIFTED = Input("plain", np.zeros((1, 720), np.float32)), Input("shifted", np.zeros((1, 720), np.float32), True)
GIVEN = (PLAIN, SHIFTED)
ANSWERS = {one.name: Answers(EXACT, np.full((1, 2, 3), 1e-6, np.float32)) for one in GIVEN}


def ran(plain: float = 1e-6, shifted: float = 1e-6, **others: Any) -> Run:
    outputs = {"plain": np.full((1, 2, 3), plain, np.float32), "shifted": np.full((1, 2, 3), shifted, np.float32)}
    return Run(outputs=outputs, **others)


def verdict(run: Run, export: Run | None = None, *, exact: bool = True) -> tuple[str, str]:
    errors = measured(run, GIVEN, ANSWERS)
    yardstick = None if export is None else measured(export, GIVEN, ANSWERS).largest
    return judged(run, errors, original_errors(GIVEN, ANSWERS), yardstick, exact=exact)


def test_an_error_within_the_originals_is_good() -> None:
    assert verdict(ran(1.4e-6, 1.4e-6)) == ("good", "")


def test_an_error_beyond_it_is_not_and_the_kind_of_input_is_told() -> None:
    found, why = verdict(ran(1e-6, 2e-6))
    assert found == "inexact"
    assert why == "largest error with an offset 2.0e-06, allowed 1.5e-06"


def test_what_the_ordinary_export_has_in_the_same_client_is_allowed() -> None:
    assert verdict(ran(1e-6, 2e-6), ran(1e-6, 4e-6))[0] == "good"
    assert verdict(ran(2e-6, 1e-6), ran(1e-6, 4e-6))[0] == "inexact"  # the other kind of input


def test_a_client_that_is_wrong_for_both_is_not_good() -> None:
    assert verdict(ran(6.0, 6.0), ran(6.0, 6.0))[0] == "inexact"


def test_measures() -> None:
    errors = measured(ran(1e-6, 3e-6), GIVEN, ANSWERS)
    assert errors.worst == "shifted"
    assert errors.worst_ratio == pytest.approx(3.0, rel=1e-4)
    assert errors.ratio == pytest.approx(2.0, rel=1e-4)
    assert errors.largest[True] == pytest.approx(3e-6, rel=1e-4)


def test_the_part_of_what_is_allowed_is_that_of_the_worst_kind_of_input() -> None:
    original, export = original_errors(GIVEN, ANSWERS), measured(ran(1e-6, 4e-6), GIVEN, ANSWERS).largest
    errors = measured(ran(1e-6, 3e-6), GIVEN, ANSWERS)
    assert of_allowed(errors, original, None) == pytest.approx(2.0, rel=1e-4)
    assert of_allowed(errors, original, export) == pytest.approx(1 / 1.5, rel=1e-4)
    assert np.isnan(of_allowed(measured(Run(), GIVEN, ANSWERS), original, None))


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (ran(errors={"plain": "no such operator"}), "plain: no such operator"),
        (ran(errors={"": "it ended by signal SIGSEGV: "}), "it ended by signal SIGSEGV: "),
        (ran(changing=("shifted",)), "shifted: the second run gives something else than the first"),
        (Run(), "it gave nothing"),
        (Run(outputs={"plain": np.zeros((1, 3, 3), np.float32)}), "plain: gives [1, 3, 3], not [1, 2, 3]"),
        (Run(outputs={"plain": np.full((1, 2, 3), np.nan, np.float32)}), "plain: gives no numbers"),
        (Run(outputs={"plain": np.array([["a"]])}), "plain: gives [1, 1], not [1, 2, 3]"),
    ],
)
def test_a_client_that_does_not_run_fails_with_its_reason(run: Run, why: str) -> None:
    assert verdict(run) == ("fails", why)
    assert verdict(run, exact=False)[0] == "fails"


def test_of_other_numbers_on_purpose_it_is_told_that_they_are_numbers() -> None:
    assert verdict(ran(0.5, 0.5), exact=False) == ("runs", "")


def test_the_worst_error_is_told_whichever_input_comes_first() -> None:
    assert verdict(ran(2e-6, 3e-4))[1] == "largest error with an offset 3.0e-04, allowed 1.5e-06"
    assert verdict(ran(3e-4, 2e-6))[1] == "largest error without an offset 3.0e-04, allowed 1.5e-06"


def cell(client: str, found: str, graph: str = "float32") -> dict[str, Any]:
    return {
        "client": client,
        "packages": "pinned",
        "graph": graph,
        "verdict": found,
        "why": "" if found == "good" else "x",
    }


def test_a_cell_that_was_good_and_is_not_is_named() -> None:
    before = [cell("tract", "good"), cell("MNN", "fails"), cell("IREE", "good")]
    now = [cell("tract", "inexact"), cell("MNN", "fails"), cell("new", "fails"), cell("tract", "fails", "mixed")]
    assert regressions(before, now) == ["tract (pinned), float32: was good, now inexact: x"]
    assert regressions(before, [cell("tract", "good")]) == []
    assert regressions([cell("eight bits", "runs")], [cell("eight bits", "fails")]) == [
        "eight bits (pinned), float32: ran, now fails: x"
    ]
    assert regressions([cell("eight bits", "good")], [cell("eight bits", "runs")]) == []
