"""The TorchAudio port; in float64 also the exact answer that errors are measured against."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from aves_artifacts.encoder_config import EncoderConfig
from aves_convert.torchaudio_model import import_torchaudio, load_model
from aves_verify.backends import Embeddings


class TorchaudioBackend:
    """torchaudio's ``wav2vec2_model`` with strictly loaded weights, in evaluation mode."""

    name = "torchaudio"

    def __init__(
        self, config: EncoderConfig, state_dict: Mapping[str, torch.Tensor], *, dtype: torch.dtype = torch.float32
    ) -> None:
        """Raise InputError where the weights do not fit the config."""
        self.version: str = import_torchaudio().__version__
        self._dtype = dtype
        self._model = load_model(config, state_dict).to(dtype)

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        """See ``Backend.run``. The last layer norm of a pre-norm encoder is applied to "final", as fairseq does."""
        with torch.inference_mode():
            features, _ = self._model.feature_extractor(torch.from_numpy(waveform.copy()).to(self._dtype), None)
            outputs = self._model.encoder.extract_features(features)
            transformer = self._model.encoder.transformer
            # torchaudio hands Transformer the negation: False here means a pre-norm encoder
            final = outputs[-1] if transformer.layer_norm_first else transformer.layer_norm(outputs[-1])
            embeddings = {"final": final}
            if layers:
                embeddings |= {f"layer.{i}": output for i, output in enumerate(outputs)}
            if self._model.aux is not None:
                embeddings["logits"] = self._model.aux(final)
            return {name: tensor.numpy() for name, tensor in embeddings.items()}
