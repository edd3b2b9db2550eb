"""Good graphs that others made: every way in which ordinary exports come, on sounds of which float32 leaves little."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from tests.verify.faults.graph_edits import Model

from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.convert import fairseq_to_onnx
from aves_convert.conversion.request import Source
from aves_convert.graph.options import OnnxOptions
from aves_convert.sounds.clip import Clip
from aves_convert.sounds.signals import reference_signals
from aves_convert.weights.model import load_model
from aves_convert.weights.to_torchaudio import to_torchaudio
from aves_verify.report.report import ConfigReport
from aves_verify.subjects.subject import Subject
from aves_verify.verification.plan import Plan
from aves_verify.verification.verify import verify_subject

SAMPLES = 24_000


def _noise(level: float, offset: float) -> Clip:
    waveform = offset + level * np.random.default_rng(4).normal(size=SAMPLES)
    return Clip(f"an offset of {offset}", waveform.astype(np.float32), "synthesised")


CLIPS = (
    *(clip for clip in reference_signals() if clip.name in ("chirp", "dc_offset")),
    Clip("constant 0.3", np.full(SAMPLES, 0.3, np.float32), "synthesised"),
    _noise(1e-5, 0.5),  # below one step of 16 bits
    _noise(0.02, 0.3),
)


def exported(checkpoint: Path, path: Path, opset: int = 17) -> None:
    path.unlink(missing_ok=True)
    fairseq_to_onnx(Source(checkpoint), path, OnnxOptions(exporter="torch", opset=opset))


def by_dynamo(checkpoint: Path, path: Path) -> None:
    """By torch's newer exporter, which gives everything other names."""
    converted = to_torchaudio(read_checkpoint(checkpoint))
    model = load_model(converted.config, converted.state_dict)

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = model

        def forward(self, waveform: torch.Tensor) -> torch.Tensor:
            embeddings: torch.Tensor = self.encoder(waveform)[0]
            return embeddings

    dynamic = {"waveform": {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Encoder().eval(),
            (torch.zeros(2, SAMPLES),),
            str(path),
            input_names=["waveform"],
            output_names=["embeddings"],
            dynamic_shapes=dynamic,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def prefixed(prefix: str, checkpoint: Path, path: Path) -> None:
    """Weights under the names that wrappers of models put in front."""
    exported(checkpoint, path)
    model = onnx.load(path)
    _rename(model, {t.name: prefix + t.name.removeprefix("model.") for t in model.graph.initializer})
    onnx.save(model, path)


def _rename(model: Model, names: dict[str, str]) -> None:
    for tensor in model.graph.initializer:
        tensor.name = names[tensor.name]
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]


def optimised(level: str, checkpoint: Path, path: Path) -> None:
    """As ONNX Runtime saves it at one of its levels; the highest is for this very processor."""
    exported(checkpoint, path)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.__members__[f"ORT_ENABLE_{level}"]
    options.optimized_model_filepath, options.log_severity_level = str(path.with_name("optimised.onnx")), 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    path.with_name("optimised.onnx").replace(path)


EXPORTS: dict[str, Callable[[Path, Path], None]] = {
    **{f"opset {opset}": partial(exported, opset=opset) for opset in (14, 17, 20)},
    **({"dynamo": by_dynamo} if importlib.util.find_spec("onnxscript") else {}),  # which it needs
    **{f"names with {prefix}": partial(prefixed, prefix) for prefix in ("model.", "_orig_mod.", "module.")},
    **{f"optimised, {level.lower()}": partial(optimised, level) for level in ("BASIC", "EXTENDED", "ALL")},
}


def verified(export: Callable[[Path, Path], None], checkpoint: Path, path: Path, seed: int = 0) -> ConfigReport:
    """What the verifier says of this export, written to ``path``."""
    export(checkpoint, path)
    subject = Subject("x", "file", checkpoint, None, None, path)
    return verify_subject(subject, Plan(CLIPS, ("fairseq", "onnx"), seed=seed))
