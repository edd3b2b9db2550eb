"""A backend from a package of somebody else's, from its wheel to the report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import stand_ins, toymaker
from tests.support.bundles import NAME

from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.bundle.check import check_bundle
from aves_artifacts.bundle.report_document import read_report
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target

pytestmark = pytest.mark.slow

Verify = Callable[..., subprocess.CompletedProcess[str]]
CRASHING = toymaker.RUNNING.replace("        return {", "        import os; os.abort()\n        return {")


@pytest.fixture
def verify(bundle: Bundle, tiny_checkpoint: Path, tmp_path: Path) -> Verify:
    """aves-verify on the tiny bundle in an interpreter of its own, which finds the packages in a folder."""

    def run(
        place: Path, *options: str, ports: Path = bundle.folder, original: Path = tiny_checkpoint
    ) -> subprocess.CompletedProcess[str]:
        given = ["--bundle", ports, "--fairseq", original, "--json", tmp_path / "r.json"]
        command = [sys.executable, "-c", "from aves_verify.cli import main; main()", *map(str, given), *options]
        path = os.pathsep.join(filter(None, [*sys.path, str(place)]))
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


def test_it_is_compared_as_every_other_and_its_settings_stand_in_the_report(verify: Verify, tmp_path: Path) -> None:
    place = toymaker.installed(tmp_path)
    done = verify(place, "--backends", "fairseq,toy,onnx", "--report", str(tmp_path / "report"), "--explain")
    assert done.returncode == 0, done.stdout + done.stderr
    (config,) = json.loads((tmp_path / "r.json").read_text())["configs"]
    assert config["name"] == NAME
    assert {c["backend"] for c in config["comparisons"]} == {"onnx", "toy"}
    assert config["backends"]["toy"] == {"version": "7.1", "error added": "0"}
    assert "toy: version 7.1, error added 0" in done.stdout
    assert "toy: only its outputs were compared" in done.stdout
    assert "toy does not give its inner values" in done.stdout
    assert set(read_report(tmp_path / "r.json").tolerances) == {"onnx", "toy"}
    assert "toy" in (tmp_path / "report" / "report.html").read_text()


def test_a_report_with_one_more_port_goes_into_the_bundle(verify: Verify, bundle: Bundle, tmp_path: Path) -> None:
    done = verify(toymaker.installed(tmp_path), "--backends", "fairseq,torchaudio,onnx,toy", "--attach")
    assert done.returncode == 0, done.stdout + done.stderr
    assert check_bundle(bundle.folder).problems == ()
    assert "| toy |" in (bundle.folder / "README.md").read_text()


def test_one_that_runs_a_smaller_graph_is_held_to_what_that_may_cost(verify: Verify, tmp_path: Path) -> None:
    row = toymaker.ROW.replace('reads="onnx"', 'reads="onnx.int8", kind="reduced"')
    place = toymaker.installed(tmp_path, files={**toymaker.FILES, "toymaker/__init__.py": row})
    original = stand_ins.write(tmp_path / "x.pt", stand_ins.VARIANTS["base"])
    made = make_bundle(Source(original), Target(tmp_path / "smaller", "x", also=("onnx.int8",)))
    files = {"ports": made.folder, "original": original}
    for backends in ("fairseq,toy", "fairseq,onnx.int8,toy"):
        done = verify(place, "--backends", backends, **files)
        assert done.returncode == 0, done.stdout + done.stderr
        (config,) = json.loads((tmp_path / "r.json").read_text())["configs"]
        assert {c["backend"]: c["status"] for c in config["comparisons"]}["toy"] == "pass (reduced)"
        assert {c["bound"]["min_snr"] for c in config["comparisons"]} == {22.0}
        assert config["weights"].keys() == {"onnx.int8"}
    done = verify(place, "--backends", "fairseq,toy", "--backend-option", "toy.error=0.3", **files)
    assert done.returncode == 1, done.stdout + done.stderr
    (config,) = json.loads((tmp_path / "r.json").read_text())["configs"]
    assert any("it costs more than it may" in c["reason"] for c in config["comparisons"] if c["backend"] == "toy")


def test_an_option_reaches_it_and_an_error_is_seen(verify: Verify, tmp_path: Path) -> None:
    place = toymaker.installed(tmp_path)
    done = verify(place, "--backends", "fairseq,toy", "--backend-option", "toy.error=0.01")
    assert done.returncode == 1, done.stdout + done.stderr
    (config,) = json.loads((tmp_path / "r.json").read_text())["configs"]
    assert config["backends"]["toy"]["error added"] == "0.01"
    assert any(c["status"] == "fail" and c["max_abs"] > 0.009 for c in config["comparisons"])


def test_a_crash_is_a_finding_and_the_others_are_compared(verify: Verify, tmp_path: Path) -> None:
    place = toymaker.installed(tmp_path, files={**toymaker.FILES, "toymaker/running.py": CRASHING})
    done = verify(place, "--backends", "fairseq,onnx,toy")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (config,) = json.loads((tmp_path / "r.json").read_text())["configs"]
    reasons = {c["reason"] for c in config["comparisons"] if c["backend"] == "toy"}
    assert all("toy of the package toymaker does not run a waveform" in reason for reason in reasons)
    assert any("its process ended" in reason for reason in reasons)
    assert all(c["status"] != "fail" for c in config["comparisons"] if c["backend"] == "onnx")


@pytest.mark.parametrize(
    ("files", "options", "told"),
    [
        (
            {"toymaker/running.py": "import no_such_runtime"},
            (),
            "toy of the package toymaker cannot be imported: ModuleNotFoundError: No module named 'no_such_runtime'",
        ),
        (
            {"toymaker/running.py": "def load(given): return 3"},
            (),
            "toy of the package toymaker does not tell what it is: TypeError: toymaker.running:load returns 3",
        ),
        (
            {"toymaker/__init__.py": "TOY = 1/0"},
            (),
            "the package toymaker does not bring the backend toy that it names",
        ),
        ({}, ("--backend-option", "toy.size=1"), "the backend toy takes no option 'size'; it takes error"),
        ({}, ("--backend-option", "toy"), "toy: expected BACKEND.OPTION=VALUE"),
    ],
)
def test_what_is_broken_is_one_line_with_status_2(
    files: dict[str, str], options: tuple[str, ...], told: str, verify: Verify, tmp_path: Path
) -> None:
    place = toymaker.installed(tmp_path, files={**toymaker.FILES, **files})
    done = verify(place, "--backends", "fairseq,toy", *options)
    assert done.returncode == 2, done.stdout
    (line,) = done.stderr.splitlines()
    assert told in line
