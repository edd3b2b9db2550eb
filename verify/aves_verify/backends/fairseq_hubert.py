"""The original: fairseq's own HuBERT and wav2vec 2.0, pretrained or fine-tuned, as fairseq's classes compute them."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aves_artifacts.bundle.outputs import LOGITS, Output, layer_name
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.weights.heads import NO_HEADS, Heads
from aves_convert.weights.torch_heads import TorchHeads
from aves_verify.backends.backend import Embeddings, Given
from aves_verify.backends.fairseq_models import load_original


def load(given: Given) -> FairseqBackend:
    """Load a checkpoint. Raises InputError."""
    return FairseqBackend(read_checkpoint(given.path, given.pretrained, given.geometry), given.heads)


class FairseqBackend:
    """fairseq's HubertModel, Wav2Vec2Model, HubertCtc or Wav2VecCtc with a checkpoint's weights, in evaluation mode.

    Always float32. In float64 it would be no more exact: it casts to float32 in its group norm, in the extractor's
    layer norms and in its GELU.
    """

    name = kind = "fairseq"

    def __init__(self, checkpoint: Checkpoint, heads: Heads = NO_HEADS) -> None:
        """Raise InputError where fairseq does not import, or where config and weights make none of its models.

        ``heads``: how many projections its ``final_proj`` is made of, and the centroids of units, which are not
        fairseq's to know.
        """
        self._model = load_original(checkpoint)
        self._heads, self._torch_heads = heads, TorchHeads(heads)
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
            found = {index: result[0].transpose(0, 1) for index, result in enumerate(results)} if layers else {}
            embeddings |= self._of_heads(encoder, final, found)
            return {name: tensor.contiguous().numpy() for name, tensor in embeddings.items()}

    def _of_heads(self, encoder: Any, final: torch.Tensor, layers: dict[int, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What its own ``final_proj`` makes of each, chunk by chunk as in its loss, and the units."""
        found: dict[str, torch.Tensor] = {}
        for index, x in ((None, final), *layers.items()):
            outputs = self._heads.projections_of(index)
            parts = encoder.final_proj(x).chunk(len(outputs), dim=-1) if outputs else ()
            found |= {output.name: part for output, part in zip(outputs, parts, strict=True)}
        for index in self._heads.centroids.keys() & layers.keys():
            found[Output("units", index).name] = self._torch_heads.units(layers[index], index)
        return found
