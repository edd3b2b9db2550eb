"""The doctor in environments that are broken for real; each of its claims is tried there by another way."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.environments import PROJECT, interpreter, run_program

pytestmark = pytest.mark.environments


def environment(folder: Path, *requirements: str, python: str = sys.executable) -> Path:
    """These packages, and of this project no more than the doctor needs; returns the interpreter."""
    subprocess.run(["uv", "venv", "--quiet", "--python", python, str(folder)], check=True)
    made = folder / "bin" / "python"
    install(made, "click", "rich", *requirements)
    install(made, "--no-deps", "--editable", str(PROJECT))
    return made


def install(python: Path, *arguments: str, **environment: str) -> None:
    command = [str(shutil.which("uv")), "pip", "install", "--quiet", "--python", str(python), *arguments]
    subprocess.run(command, check=True, cwd=python.parents[1], capture_output=True, env={**os.environ, **environment})


def doctor(python: Path, **environment: str) -> dict[str, Any]:
    """What it says there: the document, with the finding of each subject."""
    ended = subprocess.run(
        [str(python.parent / "aves-verify"), "doctor", "--json"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    document: dict[str, Any] = json.loads(ended.stdout)
    assert ended.returncode == (0 if document["works"] else 1)
    document["of"] = {finding["subject"]: finding for finding in document["findings"]}
    return document


def fails(python: Path, program: str) -> str:
    """What Python says as it ends."""
    ended = subprocess.run([str(python), "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    return ended.stderr


def test_a_pip_that_refuses_fairseqs_metadata(tmp_path: Path) -> None:
    python = environment(tmp_path / "environment", "pip>=24.1")
    told = doctor(python)["of"]["fairseq"]
    assert "refuses the metadata of omegaconf 2.0.6" in told["what"]
    assert told["mend"].endswith("uv pip install 'aves-ports[fairseq]'")

    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "omegaconf==2.0.6"]
    refused = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "metadata" in refused.stderr
    install(python, "--no-deps", "omegaconf==2.0.6")
    assert run_program(python, "import importlib.metadata as m; print(m.version('omegaconf'))") == "2.0.6"


def test_python_3_13(tmp_path: Path) -> None:
    python = environment(tmp_path / "environment", "antlr4-python3-runtime==4.8", python=interpreter("3.13"))
    told = doctor(python)["of"]["fairseq"]
    assert told["level"] == "absent"
    assert "does not import on Python 3.13" in told["what"]
    assert "antlr4" in told["what"]
    assert "--python 3.12" in told["mend"]
    assert "typing.io" in fails(python, "import antlr4")


def test_torchaudio_beside_a_torch_that_it_was_not_built_for(tmp_path: Path) -> None:
    python = environment(tmp_path / "environment", "torch==2.15.0", "torchaudio==2.11.0", "numpy", "ml-dtypes")
    document = doctor(python)
    told = document["of"]["torchaudio"]
    assert "2.11.0 was built for torch 2.11, here is torch 2.15.0" in told["what"]
    assert told["mend"].endswith("'torch==2.11.*' 'torchaudio==2.11.*'")
    failure = fails(python, "import torch, torchaudio").strip().splitlines()
    assert document["facts"]["probes"]["torchaudio"]["told"] in [line[:300] for line in failure]
    # and that it serves all the same
    assert told["level"] == "limited"
    assert document["facts"]["probes"]["torchaudio without its extension"]["works"]
    # what else is missing in this environment is told as well: of an extra, and what every command needs
    assert document["of"]["verify"]["level"] == "absent"
    assert "onnxruntime" in document["of"]["verify"]["what"]
    assert document["of"]["jsonschema"]["what"] == "not installed"
    assert not document["works"]


def programs_without_compilers(folder: Path) -> str:
    """Everything that is on the PATH here but compilers, in one folder."""
    folder.mkdir()
    for place in map(Path, os.environ["PATH"].split(os.pathsep)):
        for program in place.glob("*") if place.is_dir() else ():
            is_compiler = re.search(r"(^|-)(cc|gcc|g\+\+|c\+\+|clang|clang\+\+|c89|c99)(-|$)", program.name)
            if not is_compiler and not (folder / program.name).exists():
                (folder / program.name).symlink_to(program)
    return str(folder)


def test_no_compiler(tmp_path: Path) -> None:
    python = environment(tmp_path / "environment")
    path = programs_without_compilers(tmp_path / "programs")
    assert "no C++ compiler" not in doctor(python)["of"]["fairseq"]["what"]
    assert doctor(python)["facts"]["compiler"]
    told = doctor(python, PATH=path)["of"]["fairseq"]
    assert "there is no C++ compiler" in told["what"]
    assert "g++" in told["mend"]
    with pytest.raises(subprocess.CalledProcessError) as caught:
        install(python, "--no-deps", "--no-cache", "fairseq==0.12.2", PATH=path)
    missing = rb"No such file or directory: '(gcc|cc|g\+\+|c\+\+)'"
    assert re.search(missing, caught.value.stderr), caught.value.stderr


def test_an_onnx_runtime_too_old_for_the_opset(tmp_path: Path) -> None:
    python = environment(tmp_path / "environment", "onnxruntime==1.17.3", "onnx", "numpy<2")
    document = doctor(python)
    loads = int(document["facts"]["probes"]["opset"]["told"])
    told = document["of"]["onnxruntime"]
    assert told["level"] == "limited"
    assert f"--opset {loads + 1} or more do not run here (the default, 17, does)" in told["what"]
    assert told["mend"].endswith("install --upgrade onnxruntime")
    program = """
import sys, onnx, onnxruntime
from onnx import TensorProto, helper
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "graph", [x], [y])
domains = [helper.make_opsetid("", {opset})]
model = helper.make_model(graph, opset_imports=domains, ir_version=helper.find_min_ir_version_for(domains))
onnxruntime.InferenceSession(model.SerializeToString())
"""
    run_program(python, program.format(opset=17))
    run_program(python, program.format(opset=loads))
    assert "max supported" in fails(python, program.format(opset=loads + 1)).lower()
