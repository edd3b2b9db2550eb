"""The doctor's conclusions, from facts that are given; test_doctor_environments.py has real ones."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from aves_artifacts.base.extras import MODULES
from aves_verify.cli import main
from aves_verify.doctor.diagnose import Finding, diagnose, version
from aves_verify.doctor.facts import _PROBES, Facts, Probe, _needs, gather, probe
from aves_verify.doctor.text import as_document, lines

WORKS = Probe(True, "yes")
HEALTHY = Facts(
    python=(3, 11, 7),
    system="Linux",
    installed={
        "click": "8.1.7",
        "numpy": "1.26.4",
        "torch": "2.8.0",
        "torchaudio": "2.8.0",
        "onnx": "1.18.0",
        "onnxruntime": "1.22.1",
        "huggingface-hub": "1.0",
        "fairseq": "0.12.2",
        "transformers": "5.24.0",
        "omegaconf": "2.0.6",
        "hydra-core": "1.0.7",
        "pip": "24.0",
    },
    required={"click": "8.1", "numpy": "1.23", "onnx": ""},
    extras={
        "verify": {"torch": "2.0.1", "torchaudio": "2.0.2", "onnxruntime": ""},
        "fairseq": {"torch": "2.0.1", "torchaudio": "2.0.2", "onnxruntime": "", "fairseq": ""},
        "hub": {"huggingface-hub": "0.30"},
        "transformers": {"transformers": "4.40"},
    },
    probes={**dict.fromkeys(_PROBES, WORKS), "onnx": Probe(True, "23"), "opset": Probe(True, "23")},
    compiler="/usr/bin/c++",
    headers=True,
    uv=True,
)


def changed(**changes: Any) -> Facts:
    """HEALTHY with other entries; those that are mappings are merged."""
    merged = {
        name: {**getattr(HEALTHY, name), **value} if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return dataclasses.replace(HEALTHY, **merged)


def only(facts: Facts) -> Finding:
    (finding,) = diagnose(facts)
    return finding


def test_where_all_fits_there_is_nothing_to_say() -> None:
    assert diagnose(HEALTHY) == ()
    assert list(lines(HEALTHY, ()))[-1] == "WORKS: everything runs here"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("2.13.0+cpu", (2, 13, 0)), ("1.17.0rc1", (1, 17, 0)), ("2.0.2.post1", (2, 0, 2)), (None, ()), ("24.1", (24, 1))],
)
def test_versions_compare_by_their_numbers(text: str | None, numbers: tuple[int, ...]) -> None:
    assert version(text) == numbers


def test_missing_and_old_packages_break() -> None:
    finding = only(changed(installed={"click": None}))
    assert (finding.level, finding.what, finding.mend) == ("broken", "not installed", "uv pip install 'click>=8.1'")
    finding = only(changed(installed={"click": "8.0.9"}, uv=False))
    assert (finding.what, finding.mend) == ("8.0.9 is older than 8.1", "pip install 'click>=8.1'")
    assert diagnose(changed(installed={"click": "8.10"})) == ()
    assert only(changed(installed={"huggingface-hub": "0.29"})).what == "0.29 is older than 0.30"


def test_an_extra_that_nobody_asked_for_is_not_broken() -> None:
    finding = only(changed(installed={"huggingface-hub": None}))
    assert (finding.level, finding.subject) == ("absent", "hub")
    assert finding.what == "for aves-artifacts hub --push; lacks huggingface-hub"
    assert finding.mend == "uv pip install 'aves-ports[hub]'"
    told = list(lines(HEALTHY, [finding]))
    assert not [line for line in told if "BROKEN" in line or "LIMITED" in line]
    assert "  hub          for aves-artifacts hub --push; lacks huggingface-hub" in told
    assert "               add it: uv pip install 'aves-ports[hub]'" in told
    assert told[-1] == "WORKS: conversion and verification run here, but for what is not installed"


def test_a_light_install_works() -> None:
    light = {"torch": None, "torchaudio": None, "onnxruntime": None, "fairseq": None, "transformers": None}
    facts = dataclasses.replace(changed(installed=light), probes={"numpy": WORKS, "onnx": Probe(True, "23")})
    findings = diagnose(facts)
    told = [(finding.level, finding.subject) for finding in findings]
    assert told == [("absent", "verify"), ("absent", "transformers"), ("absent", "fairseq")]
    assert findings[0].what.endswith("lacks torch, torchaudio, onnxruntime")
    assert list(lines(facts, findings))[-1] == "WORKS: conversion runs here, and verification with the extra verify"


def test_every_extra_is_told_of() -> None:
    everything = {extra: {f"package-of-{extra}": ""} for extra in MODULES}
    missing = {f"package-of-{extra}": None for extra in MODULES} | {"fairseq": None, "transformers": None}
    facts = dataclasses.replace(changed(installed=missing), extras=everything)
    assert {finding.subject for finding in diagnose(facts)} == set(MODULES)


def test_requirements_are_read_by_the_extra_that_brings_them() -> None:
    found = _needs(
        [
            "click>=8.1",
            "old>=1; python_version < '3.9'",
            "httpx2[socks]>=2.0",
            "torch>=2.0.1; extra == 'verify'",
            'fairseq==0.12.2; (python_version < "3.99") and extra == "fairseq"',
        ]
    )
    assert found == {
        "": {"click": "8.1", "httpx2": "2.0"},
        "verify": {"torch": "2.0.1"},
        "fairseq": {"fairseq": ""},
    }


@pytest.mark.parametrize("name", ["numpy", "torch", "onnx", "onnxruntime"])
def test_a_package_that_does_not_import_breaks(name: str) -> None:
    findings = diagnose(changed(probes={name: Probe(False, "ImportError: libx.so")}))
    assert findings[0].subject == name
    assert findings[0].level == "broken"
    assert "ImportError: libx.so" in findings[0].what
    assert findings[0].mend.endswith(f"{name}=={HEALTHY.installed[name]} --force-reinstall")


def test_an_old_torch_beside_numpy_2() -> None:
    old = {"torch": "2.1.2", "torchaudio": "2.1.2", "numpy": "2.0.2"}
    finding = only(changed(installed=old, probes={"torch with numpy": Probe(False, "Numpy is not available")}))
    assert finding.level == "broken"
    assert "torch 2.1.2 gives no arrays beside numpy 2.0.2: Numpy is not available" in finding.what
    assert finding.mend == "uv pip install 'numpy<2'"


@pytest.mark.parametrize(
    ("imports", "without", "level", "told"),
    [
        (False, True, "limited", "aves-convert and aves-verify run all the same"),
        (False, False, "broken", "`import torchaudio` fails"),
        (True, True, "limited", "its compiled parts may crash"),
    ],
)
def test_torchaudio_beside_a_torch_that_it_was_not_built_for(
    imports: bool, without: bool, level: str, told: str
) -> None:
    probes = {
        "torchaudio": Probe(imports, "OSError: undefined symbol"),
        "torchaudio without its extension": Probe(without, ""),
    }
    finding = only(changed(installed={"torch": "2.9.1"}, probes=probes))
    assert finding.level == level
    assert "2.8.0 was built for torch 2.8, here is torch 2.9.1" in finding.what
    assert told in finding.what
    assert finding.mend == "uv pip install 'torch==2.8.*' 'torchaudio==2.8.*'"


def test_torchaudio_for_this_torch_that_does_not_import() -> None:
    probes = {"torchaudio": Probe(False, "OSError: libc10_cuda.so")}
    finding = only(changed(probes=probes))
    assert finding.level == "limited"
    assert "libc10_cuda.so" in finding.what
    assert finding.mend.endswith("--force-reinstall")


@pytest.mark.parametrize(
    ("loads", "level", "told"),
    [
        (Probe(True, "20"), "limited", "graphs made with --opset 21 or more do not run here (the default, 17, does)"),
        (Probe(True, "15"), "broken", "loads opsets up to 15; aves-convert writes opset 17"),
        (Probe(True, ""), "broken", "loads no graph"),
        (Probe(False, "crashed"), "broken", "loads no graph that onnx writes here: crashed"),
    ],
)
def test_an_onnx_runtime_too_old_for_the_opset(loads: Probe, level: str, told: str) -> None:
    finding = only(changed(probes={"opset": loads}))
    assert (finding.level, finding.mend) == (level, "uv pip install --upgrade onnxruntime")
    assert told in finding.what


def test_fairseq_on_python_3_13() -> None:
    finding = only(changed(python=(3, 13, 0), probes={"fairseq": Probe(False, "typing.io")}))
    assert finding.level == "limited"
    assert "does not import on Python 3.13" in finding.what
    assert finding.mend == "uv run --python 3.12 --extra fairseq aves-verify"


@pytest.mark.parametrize(
    ("changes", "told", "mend"),
    [
        ({}, ("--reference",), "uv pip install 'aves-ports[fairseq]'"),
        ({"uv": False}, ("without it",), "pip install uv && uv pip install 'aves-ports[fairseq]'"),
        ({"installed": {"pip": "25.3"}}, ("pip 25.3 refuses the metadata of omegaconf 2.0.6",), "uv pip install"),
        ({"compiler": None}, ("there is no C++ compiler",), "sudo apt-get install g++ python3-dev && uv pip install"),
        ({"compiler": None, "system": "Darwin"}, ("no C++ compiler",), "xcode-select --install && uv pip install"),
        ({"headers": False}, ("Python's headers are missing",), "sudo apt-get install g++ python3-dev && uv"),
    ],
)
def test_fairseq_not_installed(changes: dict[str, Any], told: tuple[str, ...], mend: str) -> None:
    changes = {**changes, "installed": {"fairseq": None, **changes.get("installed", {})}}
    finding = only(changed(**changes))
    assert finding.level == "absent"
    assert all(text in finding.what for text in told)
    assert finding.mend.startswith(mend)


def test_pip_before_24_1_takes_it() -> None:
    assert "refuses" not in only(changed(installed={"fairseq": None})).what


def test_fairseq_that_does_not_import() -> None:
    finding = only(changed(probes={"fairseq": Probe(False, "ImportError: omegaconf")}))
    assert "0.12.2 is installed, but does not import (ImportError: omegaconf)" in finding.what
    assert finding.mend == "uv pip install 'aves-ports[fairseq]' --reinstall-package fairseq"


def test_transformers_not_installed() -> None:
    facts = changed(installed={"transformers": None})
    facts = dataclasses.replace(facts, probes={k: v for k, v in facts.probes.items() if k != "transformers"})
    finding = only(facts)
    assert (finding.level, finding.subject) == ("absent", "transformers")
    assert finding.what == "for aves-verify --backends transformers, and --transformers; lacks transformers"
    assert finding.mend == "uv pip install 'aves-ports[transformers]'"
    assert "transformers not installed" in lines(facts, [finding])


def test_transformers_that_does_not_run_limits() -> None:
    """Such as one that passes over this torch; the command keeps torch and finds the version that takes it."""
    told = "ImportError: it passes over this torch, which is too old for it"
    old = {"torch": "2.4.1+cpu", "torchaudio": "2.4.1+cpu"}
    facts = changed(installed=old, probes={"transformers": Probe(False, told)})
    finding = only(facts)
    assert (finding.level, finding.subject) == ("limited", "transformers")
    assert finding.what.startswith(f"5.24.0 is installed beside torch 2.4.1+cpu, but does not run ({told}); ")
    assert finding.mend == "uv pip install 'transformers[torch]' torch==2.4.1"
    assert any(re.fullmatch(r"transformers 5\.24\.0 +does not import", line) for line in lines(facts, [finding]))


@pytest.mark.parametrize(
    ("torch", "transformers", "limited"),
    [("2.0.1", "4.40.0", True), ("2.0.1", "4.47.1", True), ("2.0.1", "4.48.0", False), ("2.1.2", "4.40.0", False)],
)
def test_transformers_that_makes_up_weights_beside_torch_2_0(torch: str, transformers: str, limited: bool) -> None:
    here = {"torch": torch, "torchaudio": "2.0.2" if torch == "2.0.1" else torch, "transformers": transformers}
    findings = diagnose(changed(installed=here))
    assert [finding.level for finding in findings] == ["limited"] * limited
    if limited:
        assert "from_pretrained makes up its weights" in findings[0].what
        assert findings[0].mend == "uv pip install 'transformers>=4.48,<4.50' torch==2.0.1"


def test_transformers_is_judged_beside_a_torch_that_works() -> None:
    failed = {name: Probe(False, "ImportError: libx.so") for name in ("torch", "transformers")}
    assert [finding.subject for finding in diagnose(changed(probes=failed))] == ["torch"]


def test_the_broken_come_first_and_the_verdict_last() -> None:
    facts = changed(installed={"fairseq": None, "click": None}, probes={})
    findings = diagnose(facts)
    assert [finding.level for finding in findings] == ["broken", "absent"]
    told = list(lines(facts, findings))
    added = "               add it: uv pip install 'aves-ports[fairseq]'"
    assert told.index("BROKEN: click: not installed") < told.index(added)
    assert told[-1] == "BROKEN: 1 of these must be mended before the project runs"
    document = json.loads(as_document(facts, findings))
    assert document["works"] is False
    assert document["findings"][0]["subject"] == "click"
    assert json.loads(as_document(HEALTHY, ()))["works"] is True


def test_a_probe_survives_what_crashes() -> None:
    assert probe("print('a'); print('b')") == Probe(True, "b")
    assert probe("raise RuntimeError('two\\nlines')") == Probe(False, "RuntimeError: two")
    assert probe("import os; os.abort()") == Probe(False, "the process is ended by SIGABRT")
    assert probe("raise SystemExit(3)") == Probe(False, "exit status 3")


def test_a_probe_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aves_verify.doctor.facts._SECONDS", 0.5)
    assert probe("import time; time.sleep(60)") == Probe(False, "nothing in 0 s")


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("aves_verify.doctor.facts._PROBES", {})
    assert gather().compiler is not None
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    facts = gather()
    assert (facts.compiler, facts.uv) == (None, False)
    tool = tmp_path / "my-c++"
    tool.write_text("")
    tool.chmod(0o755)
    monkeypatch.setenv("CXX", "my-c++ -O2")
    assert gather().compiler == str(tool)


@pytest.mark.slow
def test_here_it_tells_the_truth() -> None:
    """Of this environment, in which all but perhaps torchaudio's extension works."""
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.output)["facts"]
    assert facts["python"] == list(sys.version_info[:3])
    assert facts["probes"]["torch"]["works"]
    assert facts["probes"]["torchaudio without its extension"]["works"]
    assert facts["probes"]["transformers"] == {"works": True, "told": "HubertModel"}
    assert int(facts["probes"]["opset"]["told"]) >= 17
    assert facts["uv"] == any((Path(folder) / "uv").exists() for folder in os.environ["PATH"].split(os.pathsep))
