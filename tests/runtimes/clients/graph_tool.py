"""A tool that makes another graph of a graph: MODEL INPUTS OUT and the tool's name. ONNX Runtime runs what it made."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import onnx
import onnxruntime
from exchange import Run, serve


def onnxslim(model: Path, made: Path) -> None:
    import onnxslim as tool

    onnx.save(tool.slim(str(model)), made)


def onnxsim(model: Path, made: Path) -> None:
    import onnxsim as tool

    simplified, _ = tool.simplify(onnx.load(model))
    onnx.save(simplified, made)


def quantize_dynamic(model: Path, made: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic as tool

    tool(model, made)


def quant_pre_process(model: Path, made: Path) -> None:
    from onnxruntime.quantization.shape_inference import quant_pre_process as tool

    tool(str(model), str(made))


def float16(model: Path, made: Path) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(model), keep_io_types=True), made)


def float16_common(model: Path, made: Path) -> None:
    from onnxconverter_common.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(model), keep_io_types=True), made)


TOOLS = {
    tool.__name__: (tool, package)
    for tool, package in (
        (onnxslim, "onnxslim"),
        (onnxsim, "onnxsim"),
        (quantize_dynamic, "onnxruntime"),
        (quant_pre_process, "onnxruntime"),
        (float16, "onnxruntime"),
        (float16_common, "onnxconverter-common"),
    )
}
TOOL, PACKAGE = TOOLS[sys.argv[4]]


def load(model: Path) -> Run:
    made = Path(tempfile.mkdtemp()) / "graph.onnx"
    TOOL(model, made)
    session = onnxruntime.InferenceSession(str(made), providers=["CPUExecutionProvider"])
    return lambda waveform: session.run(["embeddings"], {"waveform": waveform})[0]


serve(load, *dict.fromkeys((PACKAGE, "onnxruntime", "onnx", "numpy")))
