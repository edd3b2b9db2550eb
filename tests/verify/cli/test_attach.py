"""--attach: the report of a verification becomes part of the bundle that it is about."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aves_artifacts.bundle.bundle import Bundle, hash_problems, read_bundle
from aves_artifacts.bundle.manifest import REPORT
from aves_artifacts.files.file_record import sha256_of
from aves_verify.cli import main

pytestmark = pytest.mark.slow


def verify(tiny_checkpoint: Path, bundle: Bundle, *arguments: str) -> Result:
    given = ["--bundle", str(bundle.folder), "--fairseq", str(tiny_checkpoint), "--attach", *arguments]
    return CliRunner().invoke(main, given)


def test_a_report_that_passed_is_attached(tiny_checkpoint: Path, bundle: Bundle, tmp_path: Path) -> None:
    result = verify(tiny_checkpoint, bundle, "--json", str(tmp_path / "r.json"))
    assert result.exit_code == 0, result.output
    attached = read_bundle(bundle.folder)
    assert attached.manifest.report is not None
    assert attached.manifest.report.passed
    assert attached.manifest.report.sha256 == sha256_of(bundle.folder / REPORT) == sha256_of(tmp_path / "r.json")
    assert re.search(r"on \d\d inputs:\n\*\*passed\*\*", (bundle.folder / "README.md").read_text())
    assert verify(tiny_checkpoint, attached).exit_code == 0  # again
    assert hash_problems(read_bundle(bundle.folder)) == []


def test_a_report_that_failed_is_not_attached_to_files_that_changed(tiny_checkpoint: Path, bundle: Bundle) -> None:
    config = bundle.path("config")
    config.write_text(config.read_text().replace('"encoder_num_heads": 4', '"encoder_num_heads": 2'))
    result = verify(tiny_checkpoint, bundle)
    assert result.exit_code == 2
    assert "the report is not attached: the report is about another config file" in result.output
    assert read_bundle(bundle.folder).manifest.report is None


@pytest.mark.parametrize("arguments", [("--atol", "1"), ("--rtol", "1")])
def test_tolerances_of_ones_own_are_not_attached(
    tiny_checkpoint: Path, bundle: Bundle, arguments: tuple[str, ...]
) -> None:
    result = verify(tiny_checkpoint, bundle, *arguments)
    assert result.exit_code == 2
    assert "with the tolerances as they are" in result.output


def test_attaching_needs_a_bundle_and_its_original(tiny_bundle: Bundle) -> None:
    for arguments in (["--bundle", str(tiny_bundle.folder)], ["--all-configs", "--stand-in"]):
        result = CliRunner().invoke(main, [*arguments, "--attach"])
        assert result.exit_code == 2
        assert "--attach goes with --bundle DIR --fairseq CKPT" in result.output


def test_half_of_the_backends_are_no_verification_of_a_bundle(tiny_checkpoint: Path, bundle: Bundle) -> None:
    result = verify(tiny_checkpoint, bundle, "--backends", "fairseq,torchaudio")
    assert result.exit_code == 2
    assert "the report does not cover onnx" in result.output
