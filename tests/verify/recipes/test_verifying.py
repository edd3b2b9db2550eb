"""Verifying as a recipe: the part about the port itself is made whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from aves_artifacts.base.errors import TerminatedError
from aves_verify.comparison.compare import Comparison
from aves_verify.recipes.verifying import check_port
from aves_verify.subjects.subject import Subject
from aves_verify.verification import verify
from aves_verify.verification.plan import Plan


@pytest.mark.parametrize("stops", [KeyboardInterrupt(), TerminatedError(143), OSError(5, "Input/output error")])
def test_what_stops_it_is_raised_as_it_is(
    stops: BaseException, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ordinary verification keeps what it has compared by then; a run makes the part again."""
    compare, compared = verify.compare_input, []

    def stopping(*given: Any, **more: Any) -> Iterator[Comparison]:
        if compared:
            raise stops
        for each in compare(*given, **more):
            compared.append(each)
            yield each

    monkeypatch.setattr(verify, "compare_input", stopping)
    with pytest.raises(type(stops)) as raised:
        check_port(subject, Plan(backends=("torchaudio", "onnx")), {})
    assert raised.value is stops
    assert compared
