"""What parts are known by: everything that decides what is in them, and nothing else."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from aves_artifacts.bundle.manifest import GraphRecord
from aves_verify.backends.backend import Implementation, implementation
from aves_verify.corpus.windows import Cutting
from aves_verify.parts import identity
from aves_verify.parts.identity import Identity, Looking, digest, port_digest, settings_of
from aves_verify.subjects.subject import Subject
from aves_verify.verification.plan import Plan

RECORD = GraphRecord(17, "int8", "standard", "graph", weights="float16")
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


def test_what_the_files_are_held_against_is_part_of_the_port(subject: Subject) -> None:
    """A verdict must not outlive the original, or the manifest, that it was found with."""
    before = port_digest(subject, PLAN.backends)
    assert subject.fairseq is not None  # it is not run, and the ports' weights are held against its own
    other = dataclasses.replace(subject, known_sha256={**subject.known_sha256, "fairseq": "0" * 64})
    assert port_digest(other, PLAN.backends) != before
    assert port_digest(dataclasses.replace(subject, fairseq=None), PLAN.backends) != before
    assert port_digest(dataclasses.replace(subject, problems=("a file was changed",)), PLAN.backends) != before
    assert subject.manifest is not None
    assert subject.copy is not None
    called = dataclasses.replace(subject.manifest, name="another")
    assert port_digest(dataclasses.replace(subject, manifest=called), PLAN.backends) != before
    assert port_digest(dataclasses.replace(subject, copy=None), PLAN.backends) != before
    reduced = dataclasses.replace(subject, reduced={"onnx.int8": subject.onnx}, records={"onnx.int8": RECORD})
    claims = dataclasses.replace(reduced, records={"onnx.int8": dataclasses.replace(RECORD, wide=("a.product",))})
    both = (*PLAN.backends, "onnx.int8")
    assert port_digest(reduced, both) != port_digest(claims, both)
    assert port_digest(claims, PLAN.backends) == before


def test_the_weights_of_the_exact_answer_are_part_of_the_port(subject: Subject) -> None:
    """Without an original it is that of the TorchAudio port, whether that is compared or not."""
    ports = dataclasses.replace(subject, fairseq=None)
    other = dataclasses.replace(ports, known_sha256={**ports.known_sha256, "torchaudio": "0" * 64})
    assert port_digest(other, ("transformers", "onnx")) != port_digest(ports, ("transformers", "onnx"))


def test_another_version_of_what_a_package_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Implementation("toy", "onnx", "toymaker:load", modules=("toy_runtime",), package="toymaker")
    monkeypatch.setattr(identity, "implementation", lambda name: toy if name == "toy" else implementation(name))
    plan = SimpleNamespace(**{**vars(PLAN), "backends": ("torchaudio", "toy")})
    found = []
    for versions in ({}, {"toymaker": "7.1"}, {"toymaker": "7.1", "toy_runtime": "2"}):
        monkeypatch.setattr(identity, "version_of", versions.get)
        found.append(digest(settings_of(plan, Looking(Cutting()), 1)))  # type: ignore[arg-type]
    assert len(set(found)) == 3


def test_names_have_all_three_digests() -> None:
    known = Identity("a" * 64, "c" * 64)
    assert known.part("b" * 64) == f"{'a' * 12}-{'b' * 12}-{'c' * 12}.parquet"
    assert known.part("b" * 64, ".zip").endswith("cc.zip")
    assert known.listing("b" * 64).endswith("cc.json")
