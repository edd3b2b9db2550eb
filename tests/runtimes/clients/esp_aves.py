"""esp-aves, the package of the model's authors, with TorchAudio's port."""

from pathlib import Path

from exchange import Run, serve
from torchaudio_port import runs


def load(weights: Path) -> Run:
    from aves import load_feature_extractor

    config = weights.with_name(f"{weights.stem}.model_config.json")
    extractor = load_feature_extractor(str(config), str(weights), device="cpu")
    return runs(lambda waveform: extractor.extract_features(waveform, layers=-1))


serve(load, "esp-aves", "torch", "torchaudio", "numpy")
