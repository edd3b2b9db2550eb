"""A fairseq checkpoint to TorchAudio files as torchaudio's documentation tells: by way of fairseq.

    python torchaudio_route.py CHECKPOINT WEIGHTS CONFIG

It runs in an environment of its own (see peers.py) and imports nothing of this project. It executes what the checkpoint
holds, so it is for checkpoints that were made here.
"""

import json
import sys

import torch
from fairseq import checkpoint_utils
from torchaudio.models.wav2vec2.utils import import_fairseq_model


def main(checkpoint: str, weights: str, config: str) -> None:
    (original,), args, _ = checkpoint_utils.load_model_ensemble_and_task([checkpoint])
    torch.save(import_fairseq_model(original.eval()).state_dict(), weights)
    with open(config, "w", encoding="utf-8") as stream:
        json.dump({name: str(value) for name, value in args.model.items()}, stream, indent=2)


if __name__ == "__main__":
    main(*sys.argv[1:])
