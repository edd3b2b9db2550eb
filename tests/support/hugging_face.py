"""Hugging Face's HubertModel with TorchAudio's weights: a third implementation, to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.hugging_face.config import config_entries, folder_config
from aves_artifacts.hugging_face.names import transformers_name
from aves_convert.weights.model import import_torchaudio


def import_transformers() -> Any:
    """transformers imports torchaudio too, and fails where its extension does."""
    import_torchaudio()
    import transformers

    return transformers


def hubert_model(config: EncoderConfig, state_dict: Mapping[str, NDArray[Any] | torch.Tensor]) -> Any:
    """HubertModel in evaluation mode; the weights fit strictly."""
    transformers = import_transformers()
    entries = config_entries(folder_config(config, "hubert"), masked=False)  # TorchAudio has no mask embedding either
    model = transformers.HubertModel(transformers.HubertConfig(**entries))
    renamed = {transformers_name(name): torch.as_tensor(tensor) for name, tensor in state_dict.items()}
    model.load_state_dict(renamed, strict=True)
    return model.eval()
