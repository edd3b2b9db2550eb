"""Finding out what is installed without importing it into this process: an import may crash it.

Versions come from the packages' metadata; whether something works is tried in a process of its own.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from aves_artifacts.base.messages import printable
from aves_artifacts.base.versions import PACKAGE, version_of

# What decides though the project does not require it, or an installation of it does not know of yet.
_BESIDE = ("fairseq", "omegaconf", "hydra-core", "pip", "transformers")
_SECONDS = 180.0  # for one probe; on a slow disk the first import of torch takes a minute

# Each prints one line when it works. None is given anything from outside.
_PROBES = {
    "numpy": "import numpy; print(numpy.__version__)",
    "torch": "import torch; print(torch.__version__)",
    "torch with numpy": "import torch; torch.zeros(1).numpy(); print('yes')",
    "torchaudio": "import torch, torchaudio; print(torchaudio.__version__)",
    "torchaudio without its extension": (
        "from aves_convert.weights.model import import_torchaudio\nprint(import_torchaudio().models.__name__)"
    ),
    "onnx": "import onnx; print(onnx.defs.onnx_opset_version())",
    "onnxruntime": "import onnxruntime; print(onnxruntime.__version__)",
    "opset": """
import onnx, onnxruntime
from onnx import TensorProto, helper
value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "probe", value[:1], value[1:])
onnxruntime.set_default_logger_severity(4)
for opset in range(onnx.defs.onnx_opset_version(), 6, -1):
    domains = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=helper.find_min_ir_version_for(domains))
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception:
        continue
    print(opset)
    break
""",
    "fairseq": "from aves_verify.backends.fairseq_import import import_hubert; print(import_hubert().__name__)",
    # a version that passes over this torch imports, and fails where somebody uses a model of it
    "transformers": """
from aves_verify.backends.transformers_model import import_transformers
library = import_transformers()
if not library.utils.is_torch_available():
    raise ImportError("it passes over this torch, which is too old for it")
print(library.HubertModel.__name__)
""",
}
_NEEDS = {  # what must be installed for a probe to be worth its time
    "torch with numpy": ("torch", "numpy"),
    "torchaudio": ("torch", "torchaudio"),
    "torchaudio without its extension": ("torch", "torchaudio", "numpy"),
    "opset": ("onnx", "onnxruntime"),
    "fairseq": ("fairseq", "torch", "numpy"),
    "transformers": ("transformers", "torch", "torchaudio", "numpy"),
}


@dataclass(frozen=True)
class Probe:
    """The result of trying something: what it printed, or why it failed."""

    works: bool
    told: str


@dataclass(frozen=True)
class Facts:
    """What is installed here, and what of it works."""

    python: tuple[int, int, int]
    system: str
    installed: Mapping[str, str | None]  # version by package; None where it is not installed
    required: Mapping[str, str]  # the oldest version that the project takes, "" for any
    extras: Mapping[str, Mapping[str, str]]  # the same for each extra: what it adds
    probes: Mapping[str, Probe]
    compiler: str | None  # the C++ compiler that a package would be built with
    headers: bool  # Python's own, which it would need
    uv: bool

    def works(self, name: str) -> bool:
        """Whether this was tried with success."""
        return name in self.probes and self.probes[name].works


def gather() -> Facts:
    """Find out what is installed and try it; takes as long as the slowest import."""
    needs = _needs(importlib.metadata.requires(PACKAGE) or [])
    required = needs.pop("", {})
    installed = {name: version_of(name) for packages in (required, *needs.values(), _BESIDE) for name in packages}
    chosen = [
        name for name in _PROBES if all(installed.get(package) is not None for package in _NEEDS.get(name, (name,)))
    ]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        probes = dict(zip(chosen, threads.map(lambda name: probe(_PROBES[name]), chosen), strict=True))
    return Facts(
        python=(sys.version_info[0], sys.version_info[1], sys.version_info[2]),
        system=platform.system(),
        installed=installed,
        required=required,
        extras=needs,
        probes=probes,
        compiler=_compiler(),
        headers=(Path(sysconfig.get_path("include")) / "Python.h").is_file(),
        uv=shutil.which("uv") is not None,
    )


def probe(program: str) -> Probe:
    """Run a program with this interpreter in a process of its own, which may crash."""
    try:
        ended = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probe(False, f"nothing in {_SECONDS:.0f} s")
    if ended.returncode == 0:
        return Probe(True, ended.stdout.strip().rpartition("\n")[2])
    if ended.returncode < 0:
        return Probe(False, f"the process is ended by {signal.Signals(-ended.returncode).name}")
    lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    # an exception's own line stands last but for what it says in further lines
    raised = [line for line in lines if re.match(r"^[\w.]*(Error|Exception|Interrupt)\b", line)]
    return Probe(False, printable((raised or lines or [f"exit status {ended.returncode}"])[-1], 300))


def _needs(requirements: list[str]) -> dict[str, dict[str, str]]:
    """Extra, or "" for the project itself -> package -> oldest version, of the requirements on this Python."""
    found: dict[str, dict[str, str]] = {}
    for requirement in requirements:
        text, _, marker = requirement.partition(";")
        before = re.search(r"python_version < ['\"]3\.(\d+)", marker)
        if before and sys.version_info >= (3, int(before.group(1))):
            continue
        extra = re.search(r"extra == ['\"]([\w-]+)", marker)
        name = re.split(r"[\s\[<>=!~(]", text.strip(), maxsplit=1)[0]
        oldest = re.search(r">=\s*([\w.]+)", text)
        found.setdefault(extra.group(1) if extra else "", {})[name] = oldest.group(1) if oldest else ""
    return found


def _compiler() -> str | None:
    """What setuptools would find: $CXX, or a C++ compiler of a usual name."""
    names = [os.environ.get("CXX", "").partition(" ")[0], "c++", "g++", "clang++"]
    return next((found for name in names if name and (found := shutil.which(name))), None)
