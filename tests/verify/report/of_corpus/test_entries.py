"""What the JSON tells of a corpus is what the schema describes, and is read back."""

import dataclasses
import json
from typing import Any

import pytest
from tests.support import hand_made, reported_corpus
from tests.support.schemas import undescribed

from aves_artifacts.bundle.report_document import parse_report
from aves_artifacts.files.json_schema import schema_problem
from aves_verify.report.json_report import to_json


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(to_json(hand_made.report(reported_corpus.corpus_config())))


def test_every_entry_is_described(document: Any) -> None:
    assert schema_problem(document, "report.schema.json") == ""
    assert undescribed(document) == []


def test_it_has_everything_but_arrays(document: Any) -> None:
    corpus, config = document["configs"][0]["corpus"], reported_corpus.corpus_config().corpus
    assert config is not None
    assert set(corpus) == {field.name for field in dataclasses.fields(config)} - {"listed"}
    assert set(corpus["totals"][0]) == {f.name for f in dataclasses.fields(config.totals[0])}
    assert [window["recording"] for window in corpus["worst"]] == [window.recording for window in config.worst]
    assert "waveform" not in json.dumps(corpus)
    assert sum(map(sum, corpus["totals"][0]["grids"][0]["counts"])) == 10_000


def test_it_is_there_only_where_there_is_a_corpus() -> None:
    config = json.loads(to_json(hand_made.report()))["configs"][0]
    assert "corpus" not in config
    assert all("of" not in comparison for comparison in config["comparisons"])


def test_what_json_has_no_number_for_becomes_null() -> None:
    made = reported_corpus.corpus_config()
    assert made.corpus is not None
    total = dataclasses.replace(made.corpus.totals[0], rms=float("inf"), error_ratio=None)
    corpus = dataclasses.replace(made.corpus, totals=(total,))
    found = json.loads(to_json(hand_made.report(dataclasses.replace(made, corpus=corpus))))
    assert found["configs"][0]["corpus"]["totals"][0]["rms"] is None
    assert schema_problem(found, "report.schema.json") == ""


def test_a_reader_knows_which_comparisons_are_of_windows(document: Any) -> None:
    (config,) = parse_report(json.dumps(document).encode(), "x").configs
    of = [comparison.of for comparison in config.comparisons]
    assert of == ["input"] * 4 + ["window"] * 13 + ["windows"] * 2
    assert [(total.backend, total.windows, total.failed) for total in config.totals] == [
        ("torchaudio", 10_000, 0),
        ("onnx", 10_000, 2),
    ]


@pytest.mark.parametrize(
    ("entry", "value"), [("windows", -1), ("totals", None), ("worst", [{}]), ("environments", [{"cpu": 3}])]
)
def test_the_schema_refuses_what_is_no_corpus(document: Any, entry: str, value: object) -> None:
    damaged = json.loads(json.dumps(document))
    damaged["configs"][0]["corpus"][entry] = value
    assert f"configs.0.corpus.{entry}" in schema_problem(damaged, "report.schema.json")
