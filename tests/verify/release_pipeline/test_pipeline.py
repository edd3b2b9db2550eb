"""The release pipeline end to end on small encoders: what runs, what is kept, and what may not be published."""

import json
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner, Result
from tests.support.bundles import sealed

from aves_artifacts.base.progress import Silent
from aves_artifacts.bundle.bundle import hash_problems, read_bundle
from aves_convert.conversion.stand_in import write_stand_in
from aves_verify.cli import main
from aves_verify.release_pipeline.journal import Journal, Order
from aves_verify.release_pipeline.pipeline import take_checkpoints

pytestmark = pytest.mark.slow


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "owls.pt"
    write_stand_in("bio", path, geometry="tiny")
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "published"


def release(checkpoint: Path, out: Path, *options: str) -> Result:
    command = ["release", str(checkpoint), "--to", out.as_uri(), "--version", "1.0", "--work", str(out.parent / "work")]
    return CliRunner().invoke(main, [*command, "--stand-in", *options])


def line_of(result: Result) -> list[str]:
    """The summary's cells of the one encoder."""
    (line,) = (line for line in result.output.splitlines() if line.strip().startswith("owls "))
    return line.split()[1:]


def test_a_checkpoint_becomes_a_release_and_a_second_run_keeps_all(checkpoint: Path, out: Path) -> None:
    first = release(checkpoint, out)
    assert first.exit_code == 0, first.output
    assert "is published, and reads back as it is here" in first.output
    assert json.loads((out / "1.0" / "owls" / "report.json").read_text())["passed"] is True
    indexed = (out / "1.0" / "index.json").read_bytes()

    again = release(checkpoint, out)
    assert again.exit_code == 0, again.output
    assert line_of(again)[:3] == ["kept", "kept", "kept"]
    assert "uploaded 0 files (0 B)" in again.output
    assert (out / "1.0" / "index.json").read_bytes() == indexed


def test_a_dry_run_does_all_but_publish(checkpoint: Path, out: Path) -> None:
    result = release(checkpoint, out, "--dry-run")
    assert result.exit_code == 0, result.output
    assert not out.exists()
    assert line_of(release(checkpoint, out))[:3] == ["kept", "kept", "kept"]


def test_more_ports_are_released_where_they_are_asked_for(checkpoint: Path, out: Path) -> None:
    assert release(checkpoint, out, "--dry-run").exit_code == 0
    result = release(checkpoint, out, "--with", "transformers")
    assert result.exit_code == 0, result.output
    assert "kept" not in line_of(result)[1:]  # the bundle without them is made anew
    assert (out / "1.0" / "owls" / "owls.transformers" / "config.json").is_file()
    report = json.loads((out / "1.0" / "owls" / "report.json").read_text())
    assert {"torchaudio", "onnx", "transformers"} == {c["backend"] for c in report["configs"][0]["comparisons"]}
    assert line_of(release(checkpoint, out, "--with", "transformers"))[:3] == ["kept", "kept", "kept"]


def test_a_damaged_bundle_is_made_and_verified_anew(checkpoint: Path, out: Path) -> None:
    assert release(checkpoint, out, "--dry-run").exit_code == 0
    (graph,) = (out.parent / "work").rglob("owls.onnx")
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    result = release(checkpoint, out)
    assert result.exit_code == 0, result.output
    assert "kept" not in line_of(result)[1:]
    assert graph.read_bytes() == whole


def test_another_checkpoint_under_a_published_version_is_refused(checkpoint: Path, out: Path) -> None:
    assert release(checkpoint, out).exit_code == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    write_stand_in("bio", checkpoint, geometry="tiny", seed=1)
    result = release(checkpoint, out)
    assert result.exit_code in (1, 2)
    assert "Traceback" not in result.output
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_what_does_not_verify_is_not_published(checkpoint: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is the real one; with nothing allowed, a port's rounding fails it."""
    from aves_verify.comparison import compare
    from aves_verify.release_pipeline import pipeline
    from aves_verify.verification.plan import Plan

    nothing = compare.Tolerance(atol=0, rtol=0, error_ratio=0)
    strict = Plan(tolerances=dict.fromkeys(compare.TOLERANCES, nothing))
    monkeypatch.setattr(pipeline, "Plan", lambda: strict)
    result = release(checkpoint, out)
    assert result.exit_code == 1
    assert "owls" in result.output
    assert not out.exists()


def test_an_address_that_cannot_be_opened_is_told_before_the_work(checkpoint: Path, out: Path) -> None:
    command = ["release", str(checkpoint), "--to", "nowhere://x", "--work", str(out.parent / "work")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert "nowhere" in result.output
    assert not (out.parent / "work").exists()


def test_a_bundle_that_lacks_what_is_expected_now_is_made_anew(checkpoint: Path, out: Path) -> None:
    """As one of another version of this tool, whose hashes are all right."""
    assert release(checkpoint, out, "--dry-run").exit_code == 0
    made = read_bundle(out.parent / "work" / "bundles" / "owls")
    graph = onnx.load(made.path("onnx"))
    whole = list(graph.metadata_props)
    del graph.metadata_props[:]
    graph.metadata_props.extend(entry for entry in whole if entry.key != "hop")
    onnx.save(graph, made.path("onnx"))
    sealed(made)
    assert hash_problems(read_bundle(made.folder)) == []
    result = release(checkpoint, out)
    assert result.exit_code == 0, result.output
    assert "kept" not in line_of(result)[1:]
    assert list(onnx.load(made.path("onnx")).metadata_props) == whole


def refused_at_once(*arguments: str, out: Path) -> str:
    """What is told, before any work was done."""
    work = out.parent / "work"
    command = ["release", *arguments, "--to", out.as_uri(), "--work", str(work)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2, result.output
    assert not out.exists()
    assert not work.exists()
    (line,) = result.output.splitlines()
    return line


def test_a_stand_in_is_not_released_unasked(checkpoint: Path, out: Path) -> None:
    assert "owls.pt: a stand-in, whose weights were never trained" in refused_at_once(str(checkpoint), out=out)


def test_names_that_cannot_be_published_together_are_told_at_once(checkpoint: Path, out: Path) -> None:
    (out.parent / "more").mkdir()
    for name, message in (("OWLS.pt", "two bundles are called owls"), ("an owl.pt", "cannot be part of an address")):
        other = out.parent / "more" / name
        other.write_bytes(checkpoint.read_bytes())
        assert message in refused_at_once(str(checkpoint), str(other), "--stand-in", out=out)


def test_an_encoder_without_an_original_is_told_at_once(out: Path) -> None:
    assert "birdaves-biox-base: only ports are published" in refused_at_once("core", "birdaves-biox-base", out=out)


def test_a_version_of_nothing_is_not_the_default(checkpoint: Path, out: Path) -> None:
    """As a variable gives it that is not set."""
    assert "Error: version '': expected" in refused_at_once(str(checkpoint), "--stand-in", "--version", "", out=out)


def test_a_name_that_is_given_twice_is_released_once(checkpoint: Path, out: Path) -> None:
    order = Order((str(checkpoint),) * 2, out.as_uri(), "1.0", out.parent / "work", stand_in=True)
    assert [source.name for source in take_checkpoints(order, Journal(), Silent())] == ["owls"]
