"""What parts are known by: everything that decides what is in them, and nothing else."""

import dataclasses
from typing import Any

import pytest

from aves_verify.corpus.windows import Cutting
from aves_verify.parts import identity
from aves_verify.parts.identity import Identity, Looking, digest, port_digest, settings_of
from aves_verify.subjects.subject import Subject
from aves_verify.verification.plan import Plan

PLAN = Plan(backends=("torchaudio", "onnx"))
LOOSER = {name: dataclasses.replace(each, atol=1.0) for name, each in PLAN.tolerances.items()}


@pytest.mark.parametrize(
    "other",
    [
        {"plan": dataclasses.replace(PLAN, tolerances=LOOSER)},
        {"plan": dataclasses.replace(PLAN, layers="all")},
        {"plan": dataclasses.replace(PLAN, backends=("torchaudio",))},
        {"plan": dataclasses.replace(PLAN, options={"onnx": {"threads": "2"}})},
        {"looking": Looking(Cutting(5.0, 10.0))},
        {"looking": Looking(Cutting(10.0, 5.0))},
        {"looking": Looking(Cutting(), exact_every=2)},
        {"looking": Looking(Cutting(), worst=1)},
        {"threads": 2},
    ],
)
def test_what_decides_the_content_decides_the_name(other: dict[str, Any]) -> None:
    given: dict[str, Any] = {"plan": PLAN, "looking": Looking(Cutting()), "threads": 1}
    assert digest(settings_of(**given)) != digest(settings_of(**{**given, **other}))


def test_what_decides_nothing_does_not() -> None:
    one = settings_of(dataclasses.replace(PLAN, seed=1), Looking(Cutting(shard_windows=3)), 1)
    assert digest(one) == digest(settings_of(dataclasses.replace(PLAN, seed=2), Looking(Cutting()), 1))


def test_another_version_of_what_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(settings_of(PLAN, Looking(Cutting()), 1))
    monkeypatch.setattr(identity, "version_of", lambda package: "9.9" if package == "torch" else "1.0")
    assert digest(settings_of(PLAN, Looking(Cutting()), 1)) != before


def test_another_file_is_another_port(subject: Subject) -> None:
    before = port_digest(subject, PLAN.backends)
    changed = dataclasses.replace(subject, known_sha256={**subject.known_sha256, "onnx": "0" * 64})
    assert port_digest(changed, PLAN.backends) != before
    assert port_digest(changed, ("torchaudio",)) == port_digest(subject, ("torchaudio",))
    assert port_digest(subject, PLAN.backends, "a recording") != before
    assert port_digest(dataclasses.replace(subject, name="other"), PLAN.backends) == before


def test_names_have_all_three_digests() -> None:
    known = Identity("a" * 64, "c" * 64)
    assert known.part("b" * 64) == f"{'a' * 12}-{'b' * 12}-{'c' * 12}.parquet"
    assert known.part("b" * 64, ".zip").endswith("cc.zip")
    assert known.listing("b" * 64).endswith("cc.json")
