"""The original by itself: fairseq, in an environment of its own time, loads checkpoints its own way and runs them.

Nothing of this project is imported, so nothing of it can be wrong here. fairseq unpickles; the files are our own.

    python original.py REQUEST.json OUTPUTS.npz PROVENANCE.json

The request lists runs: ``{"checkpoint", "pretrained" or null, "clips"}``, where ``clips`` is an .npz of waveforms
[1, samples] as the network takes them. Outputs are named ``run/clip/layer``.
"""

import json
import platform
import sys

import fairseq
import numpy as np
import torch
from fairseq.checkpoint_utils import load_model_ensemble_and_task


def load(checkpoint, pretrained):
    """The model as fairseq's users load it; a fine-tuned one reads the pretrained one's config from its file."""
    overrides = {} if pretrained is None else {"w2v_path": pretrained}
    (model,), _config, _task = load_model_ensemble_and_task([checkpoint], arg_overrides=overrides)
    return model.eval()


def outputs(model, waveform):
    """The final embeddings, every layer's output, and the logits where there is a head: [1, frames, dim] each."""
    fine_tuned = getattr(model, "w2v_encoder", None)
    encoder = model if fine_tuned is None else fine_tuned.w2v_model
    layers = []
    hooks = [layer.register_forward_hook(lambda _l, _i, out: layers.append(out[0])) for layer in encoder.encoder.layers]
    with torch.no_grad():
        features = encoder.extract_features(waveform, padding_mask=None, mask=False)
    for hook in hooks:
        hook.remove()
    final = features["x"] if isinstance(features, dict) else features[0]
    found = {"final": final}
    # fairseq pads inside, to a multiple of frames
    found.update({f"layer.{i}": x.transpose(0, 1)[:, : final.shape[1]] for i, x in enumerate(layers)})
    if fine_tuned is not None:
        with torch.no_grad():
            found["logits"] = model(source=waveform, padding_mask=None)["encoder_out"].transpose(0, 1)
    return {name: x.contiguous().numpy() for name, x in found.items()}


def provenance():
    """What computed the numbers, as that environment itself knows it."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "fairseq": fairseq.__version__,
        "numpy": np.__version__,
        "system": " ".join((platform.system(), platform.machine(), *platform.libc_ver())),
        "cpu": processor(),
        "threads": torch.get_num_threads(),
        "torch_build": [line.strip() for line in torch.__config__.show().splitlines() if "settings" not in line],
    }


def processor():
    """The processor's model name."""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main():
    """Run all that is asked for."""
    request, out, told = sys.argv[1:]
    torch.set_num_threads(1)  # sums in one order, however many cores there are
    with open(request, encoding="utf-8") as file:
        runs = json.load(file)
    found = {}
    for name, run in runs.items():
        model = load(run["checkpoint"], run["pretrained"])
        for clip, waveform in np.load(run["clips"]).items():
            for layer, x in outputs(model, torch.from_numpy(waveform)).items():
                found[f"{name}/{clip}/{layer}"] = x
    np.savez(out, **found)
    with open(told, "w", encoding="utf-8") as file:
        json.dump(provenance(), file, indent=1)


if __name__ == "__main__":
    main()
