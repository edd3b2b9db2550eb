"""TorchAudio's port as it is."""

from exchange import serve
from torchaudio_port import Embeddings, built, runs

serve(lambda weights: runs(Embeddings(built(weights))), "torch", "torchaudio", "numpy")
