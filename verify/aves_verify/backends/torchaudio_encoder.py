"""Running a TorchAudio port; in float64 also the exact answer that errors are measured against."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from aves_artifacts.base.messages import first_line
from aves_artifacts.bundle.outputs import FINAL, LOGITS, Output, layer_name
from aves_artifacts.encoder import EncoderConfig
from aves_convert.weights.heads import NO_HEADS, Heads
from aves_convert.weights.model import import_torchaudio, load_model
from aves_convert.weights.state_dict import old_weight_norm_name, read_state_dict
from aves_convert.weights.torch_heads import TorchHeads
from aves_verify.backends.backend import Embeddings, Given, RunError


def load(given: Given) -> TorchaudioBackend:
    """Load weights with their config. Raises InputError."""
    assert given.config is not None  # noqa: S101 - they were given together
    return TorchaudioBackend(given.config, read_state_dict(given.path, given.config), heads=given.heads)


class TorchaudioBackend:
    """torchaudio's ``wav2vec2_model`` with strictly loaded weights, in evaluation mode."""

    name = kind = "torchaudio"

    def __init__(
        self,
        config: EncoderConfig,
        state_dict: Mapping[str, NDArray[np.float32]],
        *,
        dtype: torch.dtype = torch.float32,
        heads: Heads = NO_HEADS,
    ) -> None:
        """Raise InputError where the weights do not fit the config."""
        self.version: str = import_torchaudio().__version__
        self._config = config
        self._dtype = dtype
        self.heads, self._torch_heads = heads, TorchHeads(heads, dtype)
        self.model = load_model(config, state_dict, dtype=dtype)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The weights in float32, with weight norm named ``weight_g`` and ``weight_v``; exact, as they were loaded."""
        return {old_weight_norm_name(name): tensor.float().numpy() for name, tensor in self.model.state_dict().items()}

    def tensors(self) -> dict[str, torch.Tensor]:
        """The weights as they are computed with, named as ``weights`` names them, and those of each projection."""
        found = {old_weight_norm_name(name): tensor for name, tensor in self.model.state_dict().items()}
        single = self.heads.single_projections()
        return found | {name: torch.tensor(values).to(self._dtype) for name, values in single.items()}

    @property
    def gives(self) -> tuple[str, ...]:
        """The names of all outputs that it can give."""
        layers, heads = range(self._config.encoder_num_layers), self.heads
        names = [FINAL, *map(layer_name, layers), *([] if self.model.aux is None else [LOGITS])]
        names += [output.name for i in (None, *layers) for output in heads.projections_of(i)]
        return (*names, *(Output("units", i).name for i in heads.centroids))

    def in_float32(self) -> TorchaudioBackend:
        """Make the same encoder in float32."""
        return TorchaudioBackend(self._config, self.weights(), heads=self.heads)

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        """See ``Encoder.run``. The last layer norm of a pre-norm encoder is applied to "final", as fairseq does.

        With heads there are projections of "final" too, with ``layers`` also of each layer, and its units.
        """
        try:
            with torch.inference_mode():
                outputs = self._outputs(torch.from_numpy(waveform.copy()).to(self._dtype), layers=layers)
                return {name: tensor.numpy() for name, tensor in outputs.items()}
        except RuntimeError as error:  # a geometry of its own, for which this waveform is too short
            shape = list(waveform.shape)
            raise RunError(f"torchaudio fails on a waveform {shape}: {first_line(error)}") from None

    def _outputs(self, waveform: torch.Tensor, *, layers: bool) -> dict[str, torch.Tensor]:
        features, _ = self.model.feature_extractor(waveform, None)
        outputs = self.model.encoder.extract_features(features)
        transformer = self.model.encoder.transformer
        # torchaudio hands Transformer the negation: False here means a pre-norm encoder
        final = outputs[-1] if transformer.layer_norm_first else transformer.layer_norm(outputs[-1])
        embeddings = {"final": final}
        if layers:
            embeddings |= {layer_name(i): output for i, output in enumerate(outputs)}
        if self.model.aux is not None:
            embeddings[LOGITS] = self.model.aux(final)
        return embeddings | self._torch_heads.outputs(final, dict(enumerate(outputs)) if layers else {})
