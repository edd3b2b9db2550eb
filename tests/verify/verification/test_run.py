"""What ends a run early does not lose what it had compared."""

import functools
import json
import os
import signal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.support.commands import invoke
from tests.support.comparisons import is_of_clip

from aves_artifacts.base.errors import InputError
from aves_convert.conversion.stand_in import write_stand_in
from aves_verify.cli import main
from aves_verify.cli.selection import Selection
from aves_verify.subjects import subject
from aves_verify.verification import run, verify
from aves_verify.verification.plan import Plan
from aves_verify.verification.run import verify_all

pytestmark = pytest.mark.slow

FILES = {"report.html", "report.json", "report.md", "junit.xml"}


@pytest.fixture(scope="module")
def owls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "owls.pt"
    write_stand_in("owls", path, geometry="tiny")
    return path


@pytest.fixture
def torn(tmp_path: Path, owls: Path) -> Path:
    """A checkpoint whose download broke off."""
    path = tmp_path / "torn.pt"
    path.write_bytes(owls.read_bytes()[:100_000])
    return path


cli = functools.partial(invoke, main)


def told(folder: Path) -> dict[str, Any]:
    """The report, by configuration; every file has the bad one as well."""
    assert {path.name for path in folder.iterdir()} == FILES
    document = json.loads((folder / "report.json").read_text())
    assert document["passed"] is False
    failed = {config["name"] for config in document["configs"] if not config["passed"]}
    for name in failed:
        assert name in (folder / "report.html").read_text()
        assert name in (folder / "report.md").read_text()
        suites = ElementTree.parse(folder / "junit.xml").getroot()
        assert suites.find(f"testsuite[@name='{name}']//failure") is not None
    return {config["name"]: config for config in document["configs"]}


@pytest.mark.parametrize("last", [True, False])
def test_an_unusable_configuration_does_not_lose_the_others(last: bool, owls: Path, torn: Path, tmp_path: Path) -> None:
    given = (owls, torn) if last else (torn, owls)
    result = cli(*given, "--report", tmp_path / "r")
    assert result.exit_code == 2, result.output
    configs = told(tmp_path / "r")
    assert configs["owls"]["passed"]
    assert sum(is_of_clip(c["clip"]) for c in configs["owls"]["comparisons"]) == 54
    assert configs["torn"]["comparisons"] == []
    (problem,) = configs["torn"]["problems"]
    assert problem.startswith(f"{torn}: ")
    assert result.output.splitlines()[-1] == f"Error: {problem}"
    assert "torn: nothing was compared" in result.output
    assert "FAILED: torn (" in result.output


def test_where_nothing_was_compared_the_first_reason_is_all_there_is(torn: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    other.write_text("no checkpoint")
    result = cli(torn, other, "--report", tmp_path / "r")
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1
    assert "torn.pt" in result.output
    assert not any(config["passed"] for config in told(tmp_path / "r").values())  # an earlier report must not stand


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_in_a_configuration_tells_what_it_had_compared_of_it(
    number: int, status: int, owls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = verify.compare_input, []

    def compare_input(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 4:
            os.kill(os.getpid(), number)
        return real(*arguments, **options)

    monkeypatch.setattr(verify, "compare_input", compare_input)
    (tmp_path / "r.json").write_text('{"passed": true}')
    result = cli(owls, "--json", tmp_path / "r.json")
    assert result.exit_code == status, result.output
    (config,) = json.loads((tmp_path / "r.json").read_text())["configs"]
    assert not config["passed"]
    assert {c["clip"] for c in config["comparisons"]} >= {calls[0][1].name, calls[2][1].name}
    assert config["problems"] == ["not verified to its end: the run was stopped"]
    assert "FAILED: owls" in result.output


def test_a_run_that_is_stopped_before_anything_is_compared_leaves_no_earlier_report(
    owls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "verify_subject", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    (tmp_path / "r.json").write_text('{"passed": true}')
    result = cli(owls, "--json", tmp_path / "r.json")
    assert result.exit_code == 143
    assert not json.loads((tmp_path / "r.json").read_text())["passed"]


def test_a_run_that_is_killed_leaves_no_earlier_report(
    owls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ends the process lets nothing be written, so it is written before."""
    seen: list[dict[str, str]] = []

    def verify_subject(*_: Any) -> Any:
        seen.append({path.name: path.read_text() for path in (tmp_path / "r").iterdir()})
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "verify_subject", verify_subject)
    (tmp_path / "r").mkdir()
    for name in ("report.json", "junit.xml"):
        (tmp_path / "r" / name).write_text('{"passed": true}')
    cli(owls, "--report", tmp_path / "r")
    (found,) = seen
    assert found.keys() == {"report.json", "junit.xml"}  # what was not there needs no other
    document = json.loads(found["report.json"])
    assert (document["passed"], document["configs"][0]["problems"]) == (
        False,
        ["not verified: the run has not ended"],
    )
    assert "the run has not ended" in found["junit.xml"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_tells_what_it_had_compared(
    number: int, status: int, owls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second, third = tmp_path / "second.pt", tmp_path / "third.pt"
    for path in (second, third):
        path.write_bytes(owls.read_bytes())

    real = run.verify_subject

    def verify_subject(subject: Any, *rest: Any) -> Any:
        if subject.name == "second":
            os.kill(os.getpid(), number)
        return real(subject, *rest)

    monkeypatch.setattr(run, "verify_subject", verify_subject)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "ports"))
    (tmp_path / "ports").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    result = cli(owls, second, third, "--report", tmp_path / "r")
    assert result.exit_code == status, result.output
    configs = told(tmp_path / "r")
    assert configs["owls"]["passed"]
    for name in ("second", "third"):
        assert configs[name]["problems"] == ["not verified: the run was stopped"]
    # ONNX Runtime keeps a file of its own among temporary ones
    assert [path.name for path in (tmp_path / "ports").iterdir() if path.name != ".ses"] == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), MemoryError("no room")])
def test_between_two_configurations_nothing_is_lost_either(error: BaseException, owls: Path) -> None:
    subjects = Selection(names=(str(owls), str(owls))).subjects("last")

    def progress(step: str, *_: int) -> None:
        if step == "owls":
            raise error

    found = verify_all(subjects, Plan(backends=("torchaudio", "onnx")), progress=progress)
    assert found.error is error
    first, second = found.report.configs
    assert first.passed
    assert second.problems[0].startswith("not verified: the run ")
    assert not found.report.passed


def test_a_run_that_is_stopped_before_it_compared_anything_just_stops(owls: Path) -> None:
    def progress(*_: object) -> None:
        raise KeyboardInterrupt

    found = verify_all(Selection(names=(str(owls),)).subjects("last"), Plan(), progress=progress)
    assert isinstance(found.error, KeyboardInterrupt)
    assert not found.compared


def test_a_run_that_ends_well_has_no_error(owls: Path, torn: Path) -> None:
    plan = Plan(backends=("torchaudio", "onnx"))
    assert verify_all(Selection(names=(str(owls),)).subjects("last"), plan).error is None
    assert "torn.pt" in str(verify_all(Selection(names=(str(torn),)).subjects("last"), plan).error)


def test_a_fairseq_that_does_not_import_is_told_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise InputError("fairseq is not installed")

    monkeypatch.setattr(run, "import_hubert", missing)
    monkeypatch.setattr(subject, "write_stand_in", lambda *_, **__: pytest.fail("made a stand-in"))
    with pytest.raises(InputError, match="fairseq is not installed"):
        verify_all(Selection(names=("bio",), stand_in=True).subjects("last"), Plan())


def test_fairseq_is_not_imported_where_it_has_nothing_to_run(owls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "import_hubert", lambda: pytest.fail("imported fairseq"))
    with subject.converted(owls) as made:
        ports = Selection(torchaudio=made.torchaudio, config=made.config, onnx=made.onnx)
        verify_all(ports.subjects("last"), Plan(backends=("torchaudio", "onnx")))
        assert "no file for fairseq" in str(verify_all(ports.subjects("last"), Plan()).error)


def test_a_port_that_changes_while_it_is_verified(owls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = run.verify_subject

    def verify_subject(subject: Any, *rest: Any) -> Any:
        report = real(subject, *rest)
        subject.onnx.write_bytes(subject.onnx.read_bytes() + b"\0")
        return report

    monkeypatch.setattr(run, "verify_subject", verify_subject)
    result = cli(owls)
    assert result.exit_code == 2
    assert "changed while it was read" in result.output
