"""Every encoder that is timed: a function from waveforms [batch, samples] to embeddings [batch, frames, dim]."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Encoder = Callable[[NDArray[np.float32]], Array]


def onnx(path: Path, threads: int) -> Encoder:
    """A graph in ONNX Runtime with its default settings, but for the threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda waveform: session.run(None, {name: waveform})[0]


def torchaudio(path: Path, threads: int) -> Encoder:
    """TorchAudio's model, eager."""
    return _torch(_torchaudio_model(path), threads, lambda output: output[0])


def exact(path: Path, threads: int) -> Encoder:
    """The same in float64."""
    run = _torch(_torchaudio_model(path).double(), threads, lambda output: output[0])
    return lambda waveform: run(waveform.astype(np.float64))


def compiled(path: Path, threads: int) -> Encoder:
    """The same through torch.compile with its default settings."""
    import torch

    return _torch(torch.compile(_torchaudio_model(path)), threads, lambda output: output[0])


def torch_dynamic(path: Path, threads: int) -> Encoder:
    """The same with its linear layers in eight bits, as torch.ao quantises them when they run."""
    return _torch(torch_dynamic_model(path), threads, lambda output: output[0])


def torch_dynamic_model(path: Path) -> Any:
    """That model."""
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao tells of its successor
        quantize: Any = torch.ao.quantization.quantize_dynamic
        return quantize(_torchaudio_model(path), {torch.nn.Linear}, dtype=torch.qint8)


def fairseq(path: Path, threads: int) -> Encoder:
    """fairseq's own class."""
    import torch

    from aves_convert.checkpoint.reading import read_checkpoint
    from aves_verify.backends.fairseq_models import load_original

    model = load_original(read_checkpoint(path))
    torch.set_num_threads(threads)

    def run(waveform: NDArray[np.float32]) -> Array:
        with torch.inference_mode():
            features = model.extract_features(torch.from_numpy(waveform), padding_mask=None, mask=False)[0]
            return np.asarray(features.numpy())

    return run


def hugging_face(path: Path, threads: int) -> Encoder:
    """transformers' HubertModel."""
    from tests.support.hugging_face import hubert_model

    from aves_convert.checkpoint.reading import read_checkpoint
    from aves_convert.weights.to_torchaudio import to_torchaudio

    converted = to_torchaudio(read_checkpoint(path))
    model = hubert_model(converted.config, converted.state_dict)
    return _torch(model, threads, lambda output: output.last_hidden_state)


def _torchaudio_model(path: Path) -> Any:
    from aves_convert.checkpoint.reading import read_checkpoint
    from aves_convert.weights.model import load_model
    from aves_convert.weights.to_torchaudio import to_torchaudio

    converted = to_torchaudio(read_checkpoint(path))
    return load_model(converted.config, converted.state_dict)


def _torch(model: Any, threads: int, embeddings: Callable[[Any], Any]) -> Encoder:
    import torch

    torch.set_num_threads(threads)

    def run(waveform: Array) -> Array:
        with torch.inference_mode():
            return np.asarray(embeddings(model(torch.from_numpy(waveform))).numpy())

    return run


ENCODERS: dict[str, Callable[[Path, int], Encoder]] = {
    "graph": onnx,
    "fused": onnx,
    "opset-23": onnx,
    "torchscript": onnx,
    "dynamo": onnx,
    "optimum": onnx,
    "torchaudio": torchaudio,
    "compiled": compiled,
    "fairseq": fairseq,
    "hugging-face": hugging_face,
    "exact": exact,
    "float16-weights": onnx,
    "int8": onnx,
    "int8-searched": onnx,
    "int8-searched-half": onnx,
    "onnxruntime": onnx,
    "onnxruntime-matmul": onnx,
    "onnxruntime-rows": onnx,
    "optimum-int8": onnx,
    "optimum-int8-matmul": onnx,
    "converter-float16": onnx,
    "torch-dynamic": torch_dynamic,
}
