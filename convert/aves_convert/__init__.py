"""From one format to the next: fairseq checkpoint, folder of transformers, TorchAudio state dict, ONNX graph.

- ``inspect``: what a file is, and what can be done with it.
- ``make_bundle``, ``fairseq_to_onnx``, ``torchaudio_to_onnx``, ``fairseq_to_transformers``, ``fairseq_to_heads``:
  files in, files out, asked for with ``Source``, ``Target``, ``Terms`` and ``OnnxOptions``, and with ``Search`` and
  ``Bounds`` for what stays in float32 beside int8.
- ``read_checkpoint``, ``to_torchaudio``, ``write_graph``: the same steps in memory.
- ``Heads``, ``read_heads``: projections and centroids, which stand on an encoder.
- ``read_state_dict``, ``load_model``: a TorchAudio port as arrays, and as a model to run and to train.

Nothing in a file is executed. All but ``load_model`` and the ``torch`` exporter work without torch. These names stay;
modules below the package are private.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [
    "Bounds",
    "Heads",
    "OnnxOptions",
    "Search",
    "Source",
    "Target",
    "Terms",
    "fairseq_to_heads",
    "fairseq_to_onnx",
    "fairseq_to_transformers",
    "inspect",
    "load_model",
    "make_bundle",
    "read_checkpoint",
    "read_heads",
    "read_state_dict",
    "to_torchaudio",
    "torchaudio_to_onnx",
    "write_graph",
]

if TYPE_CHECKING:
    from aves_convert.checkpoint.reading import read_checkpoint
    from aves_convert.conversion.bundle import make_bundle
    from aves_convert.conversion.convert import fairseq_to_heads, fairseq_to_onnx, torchaudio_to_onnx
    from aves_convert.conversion.request import Source, Target, Terms
    from aves_convert.conversion.transformers import fairseq_to_transformers
    from aves_convert.graph.build import write_graph
    from aves_convert.graph.options import OnnxOptions
    from aves_convert.inspection.identify import inspect
    from aves_convert.reduction.bounds import Bounds, Search
    from aves_convert.weights.heads import Heads, read_heads
    from aves_convert.weights.model import load_model
    from aves_convert.weights.state_dict import read_state_dict
    from aves_convert.weights.to_torchaudio import to_torchaudio
else:
    from aves_artifacts.base.faces import lazily

    __getattr__, __dir__ = lazily(
        __name__,
        {
            "Bounds": "reduction.bounds",
            "Heads": "weights.heads",
            "OnnxOptions": "graph.options",
            "Search": "reduction.bounds",
            "Source": "conversion.request",
            "Target": "conversion.request",
            "Terms": "conversion.request",
            "fairseq_to_heads": "conversion.convert",
            "fairseq_to_onnx": "conversion.convert",
            "fairseq_to_transformers": "conversion.transformers",
            "inspect": "inspection.identify",
            "load_model": "weights.model",
            "make_bundle": "conversion.bundle",
            "read_checkpoint": "checkpoint.reading",
            "read_heads": "weights.heads",
            "read_state_dict": "weights.state_dict",
            "to_torchaudio": "weights.to_torchaudio",
            "torchaudio_to_onnx": "conversion.convert",
            "write_graph": "graph.build",
        },
    )
