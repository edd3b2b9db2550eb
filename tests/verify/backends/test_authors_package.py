"""The authors' own package, esp-aves, takes our config, weights and graph, and gives what fairseq gives."""

from pathlib import Path

import numpy as np
import torch

from aves_artifacts.bundle.bundle import Bundle
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.sounds.signals import reference_signals
from aves_convert.weights.model import import_torchaudio
from aves_verify.backends.fairseq_hubert import FairseqBackend


def test_esp_aves_loads_the_ports(tiny_checkpoint: Path, tiny_bundle: Bundle) -> None:
    import_torchaudio()  # esp-aves imports torchaudio as it is, which fails beside a torch that it was not built for
    from aves import AVESOnnxModel, load_feature_extractor

    waveform = next(clip.waveform for clip in reference_signals() if clip.name == "chirp")[None]
    original = FairseqBackend(read_checkpoint(tiny_checkpoint)).run(waveform)["final"]
    extractor = load_feature_extractor(tiny_bundle.path("config"), tiny_bundle.path("torchaudio"), device="cpu")
    embeddings = extractor.extract_features(torch.from_numpy(waveform.copy()), layers=-1).numpy()
    np.testing.assert_allclose(embeddings, original, atol=1e-5)
    np.testing.assert_allclose(AVESOnnxModel(str(tiny_bundle.path("onnx")))(waveform), original, atol=2e-5)
