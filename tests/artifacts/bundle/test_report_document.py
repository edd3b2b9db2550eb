"""Reports read into nouns: what they hold, what is refused, and entries that later versions add."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.bundles import as_document, comparison, report_on
from tests.support.documents import HASH, a_manifest

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.report_document import (
    ReportDocument,
    ReportedComparison,
    ReportedTolerance,
    parse_bundle_report,
    parse_report,
    read_report,
)

LIMIT = ReportedTolerance(atol=1e-5, rtol=1e-5, error_ratio=4.0, own_error=0.0)


@pytest.fixture
def report() -> dict[str, Any]:
    drifting = comparison("onnx", "near-zero drift", clip="hiss", reason="3 elements", max_abs=2, flagged=3)
    failing = comparison("onnx", "fail", layer="layer.3", reason="far", max_abs=None, cosine_min=None, flagged=None)
    found = [comparison("torchaudio"), drifting, failing]
    made = report_on(a_manifest(), passed=False, comparisons=found, problems=["a.wav: empty"])
    return cast("dict[str, Any]", json.loads(as_document(made)))  # no part of it is another's


def parsed(report: object) -> ReportDocument:
    return parse_report(as_document(report), "report.json")


def test_a_report_is_read_into_nouns(report: dict[str, Any]) -> None:
    report["environment"] |= {"fairseq": None, "threads": 2}
    found = parsed(report)
    assert not found.passed
    assert found.environment == {"aves-ports": "0.1.0", "fairseq": None, "threads": 2}
    assert found.tolerances == {"torchaudio": LIMIT, "onnx": LIMIT}
    (config,) = found.configs
    assert (config.name, config.passed, config.problems) == ("x", False, ("a.wav: empty",))
    assert config.sha256 == dict.fromkeys(("fairseq", "torchaudio", "config", "onnx"), HASH)
    assert config.comparisons == found.comparisons
    assert config.comparisons == (
        ReportedComparison("torchaudio", "chirp", "final", LIMIT, "pass", "", 1e-6, 1.0, 1.0, 0),
        ReportedComparison("onnx", "hiss", "final", LIMIT, "near-zero drift", "3 elements", 2.0, 1.0, 1.0, 3),
        ReportedComparison("onnx", "chirp", "layer.3", LIMIT, "fail", "far", None, None, 1.0, 0),
    )
    assert [c.passed for c in config.comparisons] == [True, True, False]
    assert config.comparisons[2].key == ("onnx", "chirp", "layer.3")


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a document."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from objects(inner)


def test_entries_that_a_later_version_adds_do_no_harm(report: dict[str, Any]) -> None:
    mappings = [report["environment"], report["tolerance"]["by_backend"], report["configs"][0]["sha256"]]
    mappings.append(report["configs"][0]["seconds"])
    later = copy.deepcopy(report)
    for found, before in zip(list(objects(later)), objects(report), strict=True):
        if not any(before is mapping for mapping in mappings):
            found["colour"] = {"name": ["brown"]}
    assert str(later).count("brown") > 10
    assert parsed(later) == parsed(report)


def test_a_report_on_several_configurations_is_read_but_is_no_bundle_s(report: dict[str, Any]) -> None:
    other = {**report["configs"][0], "name": "other"}
    report["configs"].append(other)
    found = parsed(report)
    assert [config.name for config in found.configs] == ["x", "other"]
    assert len(found.comparisons) == 6
    with pytest.raises(InputError, match=r"^report\.json: a report on 2 configurations; verify this one alone"):
        parse_bundle_report(as_document(report), "report.json")
    del report["configs"][0]
    assert parse_bundle_report(as_document(report), "report.json").config.name == "other"


@pytest.mark.parametrize("number", [2**64, 10**400])
def test_numbers_that_no_report_has_are_refused(number: int, report: dict[str, Any]) -> None:
    report["configs"][0]["comparisons"][0]["max_abs"] = number
    with pytest.raises(InputError, match="is too large a number: it has more than 64 bits"):
        parsed(report)


DAMAGED: dict[str, tuple[Callable[[Any], object], str]] = {
    "another schema": (lambda r: r.update(schema=2), "schema: 1 was expected"),
    "no environment": (lambda r: r.pop("environment"), "'environment' is a required property"),
    "no configuration": (lambda r: r.update(configs=[]), "configs: "),
    "no name": (lambda r: r["configs"][0].pop("name"), r"configs\.0: 'name' is a required property"),
    "no status": (lambda r: r["configs"][0]["comparisons"][1].pop("status"), r"comparisons\.1: 'status' is a required"),
    "a new status": (lambda r: r["configs"][0]["comparisons"][1].update(status="fine"), "'fine' is not one of"),
    "a size below 0": (lambda r: r["configs"][0]["comparisons"][0].update(max_abs=-1), r"comparisons\.0\.max_abs"),
    "half a tolerance": (lambda r: r["tolerance"]["by_backend"]["onnx"].pop("rtol"), "'rtol' is a required property"),
    "another file": (lambda r: r["configs"][0]["sha256"].update(script=HASH), "'script' is not one of"),
    "a short digest": (lambda r: r["configs"][0]["sha256"].update(onnx="0"), r"sha256\.onnx"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGED.values(), ids=DAMAGED)
def test_what_the_schema_refuses_is_refused(
    damage: Callable[[Any], object], message: str, report: dict[str, Any]
) -> None:
    damage(report)
    with pytest.raises(InputError, match=rf"^report\.json: not a report of this version's aves-verify: .*{message}"):
        parsed(report)


@pytest.mark.parametrize("document", [b"", b"{", b"\xff\xfe", b'{"schema": 1, "schema": 1}', b"[" * 100_000])
def test_what_is_no_json_is_refused(document: bytes) -> None:
    with pytest.raises(InputError, match=r"^report\.json: no JSON: .*aves-verify"):
        parse_report(document, "report.json")


def test_a_report_is_read_from_a_file(report: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(as_document(report))
    assert read_report(tmp_path / "report.json") == parsed(report)
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(InputError, match=f"^{path}: cannot be read: "):
            read_report(path)
