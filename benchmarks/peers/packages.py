"""What people use today, each in an environment of its own below the work folder, built once by uv."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tests.support.environments import interpreter, plain_environment

# The newest torchaudio whose own import is documented to work, on the newest Python that fairseq imports on unaided.
TORCHAUDIO_ROUTE = ("torch==2.8.0", "torchaudio==2.8.0", "fairseq==0.12.2")
# optimum holds transformers below version 5.
OPTIMUM = ("optimum-onnx[onnxruntime]==0.1.0", "torch==2.15.0")
CONVERTER = ("onnxconverter-common==1.16.0",)
# fairseq hands the checkpoint to torch.load, which from torch 2.6 on refuses it
ROUTE_VARIABLES = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}


def torchaudio_route(work: Path) -> Path:
    """The interpreter that has fairseq and torchaudio as they belong together."""
    return _environment(work / "environments" / "torchaudio", TORCHAUDIO_ROUTE, interpreter("3.10"))


def optimum(work: Path) -> Path:
    """The interpreter that has optimum."""
    return _environment(work / "environments" / "optimum", OPTIMUM, interpreter("3.11"))


def converter(work: Path) -> Path:
    """The interpreter that has onnxconverter-common."""
    return _environment(work / "environments" / "converter", CONVERTER, interpreter("3.11"))


def optimum_export(python: Path, pretrained: Path, out: Path) -> list[str]:
    """``optimum-cli export onnx`` of a model folder as a command; it also runs the graph, to compare its outputs."""
    options = ["--model", str(pretrained), "--task", "feature-extraction"]
    return [str(python), "-m", "optimum.exporters.onnx", *options, str(out)]


def optimum_export_alone(python: Path, pretrained: Path, out: Path) -> list[str]:
    """The same without running the graph."""
    options = "task='feature-extraction', do_validation=False"
    call = f"import sys; from optimum.exporters.onnx import main_export; main_export(*sys.argv[1:], {options})"
    return [str(python), "-c", call, str(pretrained), str(out)]


def optimum_int8(python: Path, exported: Path, out: Path) -> list[str]:
    """``optimum-cli onnxruntime quantize`` of an exported folder, for processors with VNNI of AVX-512."""
    options = ["--onnx_model", str(exported), "--avx512_vnni", "-o", str(out)]
    return [str(python), "-m", "optimum.commands.optimum_cli", "onnxruntime", "quantize", *options]


def optimum_int8_matmul(python: Path, exported: Path, out: Path) -> list[str]:
    """The same by optimum's classes, of MatMul alone: the command has no option for that."""
    call = (
        "import sys; from optimum.onnxruntime import ORTQuantizer; "
        "from optimum.onnxruntime.configuration import AutoQuantizationConfig; "
        "config = AutoQuantizationConfig.avx512_vnni(is_static=False, operators_to_quantize=['MatMul']); "
        "ORTQuantizer.from_pretrained(sys.argv[1]).quantize(save_dir=sys.argv[2], quantization_config=config)"
    )
    return [str(python), "-c", call, str(exported), str(out)]


def converter_float16(python: Path, graph: Path, out: Path) -> list[str]:
    """onnxconverter-common's graph in half precision, with inputs and outputs in float32."""
    call = (
        "import sys, onnx; from onnxconverter_common.float16 import convert_float_to_float16 as convert; "
        "onnx.save(convert(onnx.load(sys.argv[1]), keep_io_types=True), sys.argv[2])"
    )
    return [str(python), "-c", call, str(graph), str(out)]


def _environment(folder: Path, requirements: Sequence[str], python: str) -> Path:
    """An environment; one that was begun and not finished is built again."""
    made, complete = folder / ("Scripts" if os.name == "nt" else "bin") / "python", folder / "complete"
    if not complete.exists():
        plain_environment(folder, *requirements, python=python)
        complete.touch()
    return made
