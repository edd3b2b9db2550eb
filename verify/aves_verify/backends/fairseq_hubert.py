"""The original: fairseq's own HuBERT and wav2vec 2.0, pretrained or fine-tuned, as fairseq's classes compute them."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aves_artifacts.bundle.graph_contract import LOGITS, layer_name
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.reading import read_checkpoint
from aves_verify.backends.backend import Embeddings, Given
from aves_verify.backends.fairseq_models import load_original


def load(given: Given) -> FairseqBackend:
    """Load a checkpoint. Raises InputError."""
    return FairseqBackend(read_checkpoint(given.path, given.pretrained, given.geometry))


class FairseqBackend:
    """fairseq's HubertModel, Wav2Vec2Model, HubertCtc or Wav2VecCtc with a checkpoint's weights, in evaluation mode.

    Always float32. In float64 it would be no more exact: it casts to float32 in its group norm, in the extractor's
    layer norms and in its GELU.
    """

    name = kind = "fairseq"

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Raise InputError where fairseq does not import, or where config and weights make none of its models."""
        self._model = load_original(checkpoint)
        self.version: str = importlib.import_module("fairseq").__version__

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        """See ``Encoder.run``. "final" is what ``extract_features`` returns: layer-normed for a pre-norm model.

        Of a fine-tuned model that is what its head gets.
        """
        fine_tuned = getattr(self._model, "w2v_encoder", None)
        encoder = self._model if fine_tuned is None else fine_tuned.w2v_model
        results: list[tuple[torch.Tensor, Any]] = []  # of each layer: the output [frames, batch, dim], something else
        keep_results = encoder.encoder.register_forward_hook(lambda _module, _inputs, out: results.extend(out[1]))
        with torch.inference_mode(), keep_results:
            # a copy, as torch warns of arrays that it may not write to
            features = encoder.extract_features(torch.tensor(waveform), padding_mask=None, mask=False)
            # HuBERT returns a pair, wav2vec 2.0 a dict
            final = features["x"] if isinstance(features, dict) else features[0]
            embeddings = {"final": final}
            if layers:
                embeddings |= {layer_name(i): result[0].transpose(0, 1) for i, result in enumerate(results)}
            if fine_tuned is not None and fine_tuned.proj is not None:
                # the rest of its forward; transposed as there, because products round by their operands' layout
                head_input = fine_tuned.final_dropout(final.transpose(0, 1))
                embeddings[LOGITS] = fine_tuned.proj(head_input).transpose(0, 1)
            return {name: tensor.contiguous().numpy() for name, tensor in embeddings.items()}
