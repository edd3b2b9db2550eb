"""torch.compile of TorchAudio's port, for any length at once."""

import torch
from exchange import serve
from torchaudio_port import Embeddings, built, runs

serve(lambda weights: runs(torch.compile(Embeddings(built(weights)), dynamic=True)), "torch", "torchaudio", "numpy")
