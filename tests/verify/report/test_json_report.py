"""What aves-verify --json writes is what the published schema describes, entry by entry."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.support.schemas import undescribed
from tests.support.tensors import arrays

from aves_artifacts.base.errors import InputError
from aves_artifacts.configurations.catalog import catalog
from aves_artifacts.files.json_schema import schema_problem
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import write_stand_in
from aves_convert.torch_files.writer import write_torch_file
from aves_verify.report.json_report import to_json
from aves_verify.subjects.subject import Pending, converted, of_bundle, ready, stand_in_for
from aves_verify.verification.plan import Plan
from aves_verify.verification.run import verify_all

pytestmark = pytest.mark.slow

NAMES = ("core", "bio", "nonbio", "all")


@pytest.fixture(scope="module")
def good() -> Any:
    """Every configuration, each layer, with all that a report can tell."""
    subjects = [
        Pending(name, "stand-in", stand_in_for(catalog()[name], geometry="tiny", layers="all")) for name in NAMES
    ]
    plan = Plan(layers="all", explain=True, characterise=True)
    return json.loads(to_json(verify_all(subjects, plan).report))


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Another checkpoint's ports, one of them with NaN, audio that cannot be read, and a checkpoint that is none."""
    folder = tmp_path_factory.mktemp("bad")
    for name in ("x", "other"):
        write_stand_in(name, folder / f"{name}.pt", geometry="tiny")
    made = make_bundle(Source(folder / "x.pt"), Target(folder / "bundle", "x"))
    weights = torch.load(made.path("torchaudio"), weights_only=True)
    weights["feature_extractor.conv_layers.0.conv.weight"][0] = torch.nan
    write_torch_file(arrays(weights), made.path("torchaudio"))
    (folder / "torn.pt").write_text("no checkpoint")
    subjects = [
        ready(of_bundle(made.folder, folder / "other.pt")),
        Pending("torn", "file", converted(folder / "torn.pt")),
    ]
    run = verify_all(subjects, Plan(explain=True), ["torn.wav: not audio"])
    assert isinstance(run.error, InputError)
    return json.loads(to_json(run.report))


def test_every_entry_of_a_full_report_is_described(good: Any) -> None:
    assert good["passed"]
    assert [config["name"] for config in good["configs"]] == list(NAMES)
    for config in good["configs"]:
        assert config["explanations"]
        assert config["sensitivities"]
        assert {c["layer"] for c in config["comparisons"]} > {"final"}
    assert schema_problem(good, "report.schema.json") == ""
    assert undescribed(good) == []


def test_every_entry_of_a_report_that_failed_is_described(bad: Any) -> None:
    config, torn = bad["configs"]
    assert config["problems"][-1] == "torn.wav: not audio"
    assert any(explanation["first"] for explanation in config["explanations"])
    assert {c["status"] for c in config["comparisons"]} == {"fail"}
    assert {c["backend"] for c in config["comparisons"] if c["max_abs"] is None} == {"torchaudio"}
    assert (len(torn["problems"]), torn["comparisons"]) == (1, [])
    assert schema_problem(bad, "report.schema.json") == ""
    assert undescribed(bad) == []


def test_the_closed_schema_refuses_what_is_not_described(good: Any) -> None:
    """Without this the two above prove nothing."""
    changed = copy.deepcopy(good)
    changed["configs"][0]["comparisons"][0]["near_zero"]["more"] = 1
    assert schema_problem(changed, "report.schema.json") == ""
    assert undescribed(changed) != []


DAMAGE: list[tuple[Callable[[Any], Any], str]] = [
    (lambda r: r.update(schema=2), "schema: 1 was expected"),
    (lambda r: r.pop("tolerance"), "'tolerance' is a required property"),
    (lambda r: r["tolerance"].pop("atol"), "tolerance: 'atol' is a required property"),
    (lambda r: r.update(configs=[]), "configs: "),
    (lambda r: r["seconds"].update(total="1"), "seconds.total: '1'"),
    (lambda r: r["configs"][1].update(source="web"), "configs.1.source: 'web'"),
    (lambda r: r["configs"][1]["sha256"].update(onnx="1"), "configs.1.sha256.onnx: '1'"),
    (lambda r: r["configs"][1]["comparisons"][3].update(status="drift"), "configs.1.comparisons.3.status: 'drift'"),
    (lambda r: r["configs"][1]["comparisons"][3].update(max_abs=-1), "configs.1.comparisons.3.max_abs: -1"),
    (lambda r: r["configs"][1]["comparisons"][3].pop("near_zero"), "'near_zero' is a required property"),
    (lambda r: r["configs"][1]["sensitivities"][0].update(kind="x"), "configs.1.sensitivities.0.kind: 'x'"),
    (lambda r: r["configs"][1]["explanations"][0].update(first=1), "configs.1.explanations.0.first: 1"),
]


@pytest.mark.parametrize(("change", "message"), DAMAGE, ids=[message for _, message in DAMAGE])
def test_the_schema_refuses_what_is_no_report(good: Any, change: Callable[[Any], Any], message: str) -> None:
    damaged = copy.deepcopy(good)
    change(damaged)
    assert message in schema_problem(damaged, "report.schema.json")
