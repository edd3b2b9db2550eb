"""IREE on the processor. MODEL is a folder of graphs, BATCHxSAMPLES.onnx, each compiled when its shape is run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import iree.compiler
import iree.runtime
import numpy as np
from exchange import Run, serve

OPSET = "17"


def load(model: Path) -> Run:
    functions: dict[str, Any] = {}

    def run(waveform: np.ndarray) -> np.ndarray:
        shape = "x".join(map(str, waveform.shape))
        if shape not in functions:
            functions[shape] = compiled(model / f"{shape}.onnx")
        return functions[shape](waveform).to_host()

    return run


def compiled(graph: Path) -> Any:
    importer = Path(sys.executable).with_name("iree-import-onnx")
    with tempfile.TemporaryDirectory() as folder:
        imported = Path(folder) / "graph.mlir"
        command = [str(importer), str(graph), "-o", str(imported), "--opset-version", OPSET]
        subprocess.run(command, check=True, stdout=sys.stderr)
        options = ["--iree-llvmcpu-target-cpu=host"]
        binary = iree.compiler.compile_file(
            str(imported), target_backends=["llvm-cpu"], input_type="onnx", extra_args=options
        )
    context = iree.runtime.SystemContext(config=iree.runtime.Config("local-task"))
    module = iree.runtime.VmModule.copy_buffer(context.instance, binary)
    context.add_vm_module(module)
    (name,) = (name for name in module.function_names if not name.startswith("__") and not name.endswith("$async"))
    return context.modules[module.name][name]


serve(load, "iree-base-compiler", "iree-base-runtime", "numpy")
