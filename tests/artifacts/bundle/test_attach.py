import dataclasses
import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from tests.support.bundles import NAME, as_document, comparison, copied, make_tiny, report_on, sealed

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.attach import attach_report
from aves_artifacts.bundle.bundle import Bundle, hash_problems, read_bundle
from aves_artifacts.bundle.manifest import MANIFEST, REPORT
from aves_artifacts.files.file_record import sha256_of


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_report_becomes_part_of_the_bundle(bundle: Bundle) -> None:
    document = as_document(report_on(bundle.manifest))
    attached = attach_report(bundle.folder, document)
    assert (bundle.folder / REPORT).read_bytes() == document
    assert read_bundle(bundle.folder).manifest == attached.manifest
    record = attached.manifest.report
    assert record is not None
    assert (record.size, record.sha256, record.passed) == (len(document), sha256_of(bundle.folder / REPORT), True)
    assert attached.manifest.files["card"].sha256 == sha256_of(bundle.folder / "README.md")
    assert "**passed**" in (bundle.folder / "README.md").read_text()
    assert hash_problems(attached) == []


def test_a_failure_is_recorded_and_replaced_by_a_later_report(bundle: Bundle) -> None:
    failed = report_on(bundle.manifest, passed=False, comparisons=[comparison("onnx", "fail", max_abs=None)])
    record = attach_report(bundle.folder, as_document(failed)).manifest.report
    assert record is not None
    assert not record.passed
    assert "**failed**" in (bundle.folder / "README.md").read_text()
    record = attach_report(bundle.folder, as_document(report_on(bundle.manifest))).manifest.report
    assert record is not None
    assert record.passed


def replaced(**digests: str | None) -> Any:
    def change(report: dict[str, Any]) -> None:
        found = report["configs"][0]["sha256"] | digests
        report["configs"][0]["sha256"] = {name: digest for name, digest in found.items() if digest is not None}

    return change


REFUSED: dict[str, tuple[Any, str]] = {
    "another source": (replaced(fairseq="1" * 64), "about another fairseq file"),
    "other weights": (replaced(torchaudio="1" * 64), "about another torchaudio file"),
    "another config": (replaced(config="1" * 64), "about another config file"),
    "another graph": (replaced(onnx="1" * 64), "about another onnx file"),
    "no original": (replaced(fairseq=None), "does not cover fairseq"),
    "one port": (replaced(onnx=None), "does not cover onnx"),
    "a better verdict": (
        lambda report: report["configs"][0].update(comparisons=[comparison("torchaudio"), comparison("onnx", "fail")]),
        "verdict is not what its comparisons say",
    ),
    "a verdict on one port": (
        lambda report: report["configs"][0].update(comparisons=[comparison("torchaudio")]),
        "verdict is not what its comparisons say",
    ),
    "a verdict on nothing": (lambda report: report["configs"][0].update(comparisons=[]), "verdict"),
    "a problem": (lambda report: report["configs"][0].update(problems=["x"]), "verdict"),
    "two verdicts": (lambda report: report.update(passed=False), "verdict"),
    "two configurations": (
        lambda report: report.update(configs=report["configs"] * 2),
        "a report on 2 configurations; verify",
    ),
    "no configuration": (lambda report: report.update(configs=[]), "aves-verify: configs"),
    "another schema": (lambda report: report.update(schema=2), "aves-verify: schema"),
    "a pass without a number": (
        lambda report: report["configs"][0]["comparisons"][1].update(max_abs=None),
        "says pass of onnx, chirp without a number",
    ),
    "no number at all": (
        lambda report: report["configs"][0]["comparisons"][1].update(max_abs=float("nan")),
        "NaN is no number of JSON",
    ),
    "no numbers": (lambda report: report["configs"][0]["comparisons"][0].update(max_abs="0"), "max_abs: '0'"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_a_report_on_something_else_is_refused(change: Any, message: str, bundle: Bundle) -> None:
    report = report_on(bundle.manifest)
    change(report)
    before = content(bundle.folder)
    with pytest.raises(InputError, match=message) as caught:
        attach_report(bundle.folder, as_document(report))
    assert "\n" not in str(caught.value)
    assert content(bundle.folder) == before


# --- with the folder that transformers loads


def test_a_report_is_about_the_folder_too(tiny_with_folder: Bundle, tmp_path: Path) -> None:
    bundle = copied(tiny_with_folder, tmp_path / "bundle")
    report = report_on(bundle.manifest)
    lines = (f"{sha256_of(path)}  {path.name}\n" for path in sorted((bundle.folder / f"{NAME}.transformers").iterdir()))
    assert report["configs"][0]["sha256"]["transformers"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    attached = attach_report(bundle.folder, as_document(report))
    assert hash_problems(attached) == []
    assert "| transformers | pass |" in (bundle.folder / "README.md").read_text()


def test_a_file_of_the_folder_that_changed_takes_no_report(tiny_with_folder: Bundle, tmp_path: Path) -> None:
    bundle = copied(tiny_with_folder, tmp_path / "bundle")
    bundle.path("transformers_config").write_text("{}")
    with pytest.raises(InputError, match=r"transformers/config.json is not the file"):
        attach_report(bundle.folder, as_document(report_on(bundle.manifest)))


REFUSED_WITH_FOLDER: dict[str, tuple[Any, str]] = {
    "another folder": (replaced(transformers="1" * 64), "about another transformers folder: SHA-256 111111111111…"),
    "no folder": (replaced(transformers=None), "does not cover transformers; verify with the original and every"),
    "a verdict on the other ports": (
        lambda report: report["configs"][0].update(comparisons=[comparison("torchaudio"), comparison("onnx")]),
        "verdict is not what its comparisons say",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED_WITH_FOLDER.values(), ids=REFUSED_WITH_FOLDER)
def test_a_report_without_the_folder_is_refused(change: Any, message: str, tiny_with_folder: Bundle) -> None:
    report = report_on(tiny_with_folder.manifest)
    change(report)
    with pytest.raises(InputError, match=message):
        attach_report(tiny_with_folder.folder, as_document(report))
    assert not (tiny_with_folder.folder / REPORT).exists()


def of_a_folder(bundle: Bundle) -> Bundle:
    """As if it were made from a folder of transformers."""
    source = dataclasses.replace(bundle.manifest.source, format="transformers", model_class="HubertModel")
    return sealed(bundle, source=source)


def test_the_original_may_be_a_folder(bundle: Bundle) -> None:
    made = of_a_folder(bundle)
    report = report_on(made.manifest)
    digests = report["configs"][0]["sha256"]
    assert (digests["transformers"], "fairseq" in digests) == (made.manifest.source.sha256, False)
    changed = report_on(made.manifest)
    replaced(transformers="1" * 64)(changed)
    with pytest.raises(InputError, match="about another transformers folder"):
        attach_report(bundle.folder, as_document(changed))
    replaced(transformers=None, fairseq=made.manifest.source.sha256)(changed)
    with pytest.raises(InputError, match="does not cover transformers"):
        attach_report(bundle.folder, as_document(changed))
    attached = attach_report(bundle.folder, as_document(report))
    assert attached.manifest.report is not None
    assert hash_problems(attached) == []


def test_a_folder_beside_another_folder_that_was_the_original_is_not_covered(
    tiny_with_folder: Bundle, tmp_path: Path
) -> None:
    """A report has one place for a folder of transformers: what lies there must be what was compared."""
    made = of_a_folder(copied(tiny_with_folder, tmp_path / "bundle"))
    with pytest.raises(InputError, match="about another transformers folder"):
        attach_report(made.folder, as_document(report_on(made.manifest)))


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"<html>"])
def test_what_is_no_report_is_refused(document: bytes, bundle: Bundle) -> None:
    with pytest.raises(InputError, match=r"^the report: "):
        attach_report(bundle.folder, document)


def test_a_report_on_another_bundle_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    other = make_tiny(tmp_path / "other", seed=1)
    with pytest.raises(InputError, match=r"another fairseq.*\n.*another torchaudio.*\n(.*\n)?.*another onnx") as caught:
        attach_report(bundle.folder, as_document(report_on(other.manifest)))
    assert "config" not in str(caught.value)  # the same geometry


@pytest.mark.parametrize("role", ["torchaudio", "safetensors", "onnx"])
def test_files_that_changed_since_take_no_report(role: Any, bundle: Bundle) -> None:
    path = bundle.path(role)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match=f"{path.name} is not the file"):
        attach_report(bundle.folder, as_document(report_on(bundle.manifest)))


@pytest.mark.parametrize("file", [REPORT, "README.md", MANIFEST])
def test_a_run_killed_at_any_step_can_be_repeated(file: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed right before a file gets its name: whatever is there then takes the report."""
    document = as_document(report_on(bundle.manifest))
    real = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if Path(target).name == file:
            os._exit(9)
        return real(self, target)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(Path, "replace", killed)
        try:
            attach_report(bundle.folder, document)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert read_bundle(bundle.folder).manifest.report is None
    attached = attach_report(bundle.folder, document)
    assert attached.manifest.report is not None
    assert hash_problems(attached) == []


@pytest.mark.parametrize("file", [REPORT, "README.md", MANIFEST])
def test_a_disk_that_is_full_leaves_the_bundle_as_it_is(
    file: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = content(bundle.folder), Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name.startswith(f".{file}."):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="cannot write: No space left on device"):
        attach_report(bundle.folder, as_document(report_on(bundle.manifest)))
    assert content(bundle.folder) == before
