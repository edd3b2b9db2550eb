"""avex's ``_load_checkpoint`` with TorchAudio's port, whose keys get the prefix that it wants: ``model.``.

Without it not one key is taken, and nothing is said. The model is avex's own, but for the weights that it would fetch.
"""

import json
import tempfile
from pathlib import Path

import torch
from avex.models.aves_model import Model
from avex.models.utils.load import _load_checkpoint
from exchange import Run, serve
from torchaudio.models import wav2vec2_model
from torchaudio_port import runs


def load(weights: Path) -> Run:
    config = json.loads(weights.with_name(f"{weights.stem}.model_config.json").read_text())
    model = Model.__new__(Model)
    torch.nn.Module.__init__(model)
    model.device, model.audio_processor = "cpu", None
    model.model = wav2vec2_model(**{"aux_num_out": None, **config})
    with tempfile.TemporaryDirectory() as folder:
        prefixed = {f"model.{key}": value for key, value in torch.load(weights, weights_only=True).items()}
        torch.save(prefixed, Path(folder) / "port.pt")
        _load_checkpoint(model, str(Path(folder) / "port.pt"), "cpu")
    return runs(model.eval())


serve(load, "avex", "torch", "torchaudio", "numpy")
