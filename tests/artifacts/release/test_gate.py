"""What may be published: each thing that must keep a bundle from it does."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.bundles import NAME, as_document, comparison, copied, make_tiny, report_on, sealed
from tests.support.releases import as_trained

from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.bundle.attach import attach_report
from aves_artifacts.bundle.bundle import Bundle, read_bundle
from aves_artifacts.bundle.manifest import REPORT
from aves_artifacts.release.gate import all_verified, verified

FAILING = [comparison("torchaudio"), comparison("onnx", status="fail", clip="offset", reason="too far")]


def reported(bundle: Bundle, **entries: Any) -> Bundle:
    return attach_report(bundle.folder, as_document(report_on(bundle.manifest, **entries)))


def waive(monkeypatch: pytest.MonkeyPatch, folder: Path, waiver: str) -> None:
    """Put a catalogue into effect in which the bundle's configuration has this waiver."""
    catalogue = folder / "catalog.toml"
    entry = f"[bio]\nfile_name = '{NAME}'\ndimension = 24\n[bio.files]\n[[bio.waivers]]\n"
    catalogue.write_text(f"{entry}{waiver}\n")
    monkeypatch.setenv("AVES_CATALOG", str(catalogue))


def test_a_bundle_that_passed_may_be_published(bundle: Bundle) -> None:
    found = verified(reported(bundle).folder)
    assert (found.name, found.waived, found.is_stand_in) == (NAME, (), True)


def test_a_bundle_without_report_may_not(bundle: Bundle) -> None:
    with pytest.raises(DoesNotHoldError, match="has no report, and nothing is published that was not verified"):
        verified(bundle.folder)


def test_a_waiver_does_not_stand_for_a_port_that_was_not_compared(
    tiny_with_folder: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a report that failed, and may be published with what is waived, every port is asked for too."""
    waive(monkeypatch, tmp_path, "backend = 'onnx'\nclip = 'offset'\nreason = 'known'")
    bundle = copied(tiny_with_folder, tmp_path / "bundle")
    for comparisons, missing in ((FAILING, True), ([*FAILING, comparison("transformers")], False)):
        report = report_on(bundle.manifest, passed=False, comparisons=comparisons)
        attach_report(bundle.folder, as_document(report))
        if missing:
            with pytest.raises(DoesNotHoldError, match=r"report.json: transformers was not compared$"):
                verified(bundle.folder)
        else:
            assert [waived.backend for waived in verified(bundle.folder).waived] == ["onnx"]


@pytest.mark.parametrize("role", ["torchaudio", "config", "safetensors", "onnx", "card"])
def test_files_that_changed_since_may_not(bundle: Bundle, role: Any) -> None:
    path = reported(bundle).path(role)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DoesNotHoldError, match=f"{path.name} is not the file"):
        verified(bundle.folder)


def test_the_report_of_other_files_may_not(bundle: Bundle, tmp_path: Path) -> None:
    other = make_tiny(tmp_path / "other", seed=1)
    reported(bundle)
    (bundle.folder / REPORT).write_bytes(as_document(report_on(other.manifest)))
    with pytest.raises(DoesNotHoldError, match=r"report.json is not the file that manifest.json records"):
        verified(bundle.folder)
    sealed(read_bundle(bundle.folder))
    with pytest.raises(DoesNotHoldError, match="does not belong here: the report is about another torchaudio file"):
        verified(bundle.folder)


def test_a_failure_may_not(bundle: Bundle) -> None:
    reported(bundle, passed=False, comparisons=FAILING)
    with pytest.raises(DoesNotHoldError, match=r"report.json: onnx, offset, final: too far"):
        verified(bundle.folder)


def test_a_problem_beside_the_numbers_may_not(bundle: Bundle) -> None:
    reported(bundle, passed=False, problems=["one weight is another"])
    with pytest.raises(DoesNotHoldError, match="a problem beside the numbers: one weight is another"):
        verified(bundle.folder)


def test_a_verdict_without_a_cause_may_not(bundle: Bundle) -> None:
    reported(bundle, passed=False)
    with pytest.raises(DoesNotHoldError, match="says that the verification failed, and not why"):
        verified(bundle.folder)


def test_half_a_comparison_may_not(bundle: Bundle) -> None:
    reported(bundle, passed=False, comparisons=[FAILING[1]])
    with pytest.raises(DoesNotHoldError, match="torchaudio was not compared"):
        verified(bundle.folder)


def test_a_failure_that_is_waived_may_with_its_reason(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported(bundle, passed=False, comparisons=FAILING)
    waive(monkeypatch, tmp_path, "backend = 'onnx'\nclip = 'offset'\nreason = 'known'")
    (waived,) = verified(bundle.folder).waived
    assert (waived.backend, waived.clip, waived.failure, waived.reason) == ("onnx", "offset", "too far", "known")
    waive(monkeypatch, tmp_path, "backend = 'onnx'\nclip = 'chirp'\nreason = 'known'")
    with pytest.raises(DoesNotHoldError, match="too far"):
        verified(bundle.folder)


def test_a_waiver_does_not_reach_what_it_does_not_name(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported(bundle, passed=False, comparisons=[*FAILING, comparison("torchaudio", status="fail", reason="far")])
    waive(monkeypatch, tmp_path, "backend = 'onnx'\nreason = 'known'")
    with pytest.raises(DoesNotHoldError) as caught:
        verified(bundle.folder)
    assert caught.value.problems == (f"{bundle.folder / REPORT}: torchaudio, chirp, final: far",)


def test_stand_ins_are_wanted_or_refused(bundle: Bundle) -> None:
    reported(bundle)
    with pytest.raises(InputError, match="a stand-in, whose weights were never trained; give `stand_in`"):
        all_verified([bundle.folder], stand_ins=False)
    assert all_verified([bundle.folder], stand_ins=True)
    assert all_verified([reported(as_trained(bundle)).folder], stand_ins=False)[0].name == NAME


def test_everything_that_is_wrong_is_told_at_once(tiny_bundle: Bundle, tmp_path: Path) -> None:
    folders = [copied(tiny_bundle, tmp_path / name).folder for name in ("a", "b")]
    with pytest.raises(DoesNotHoldError) as caught:
        all_verified(folders, stand_ins=True)
    assert [str(folder) in problem for folder, problem in zip(folders, caught.value.problems, strict=True)] == [
        True
    ] * 2


def test_no_bundle_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no bundle"):
        all_verified([tmp_path], stand_ins=True)


def test_a_report_that_is_none_may_not(bundle: Bundle) -> None:
    reported(bundle)
    (bundle.folder / REPORT).write_text(json.dumps({"schema": 1}))
    sealed(read_bundle(bundle.folder))
    with pytest.raises(DoesNotHoldError, match=r"report.json is no report"):
        verified(bundle.folder)
