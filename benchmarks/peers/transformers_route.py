"""A fairseq checkpoint to a folder of transformers as transformers' own script did it: by way of fairseq.

    python -m benchmarks.peers.transformers_route CHECKPOINT FOLDER

``convert_hubert_original_pytorch_checkpoint_to_pytorch.py``, which transformers had until version 5, step by step: a
HubertModel of the default config, fairseq's own loading, a tensor at a time copied by its name, ``save_pretrained``. It
executes what the checkpoint holds, so it is for checkpoints that were made here, of HuBERT base's geometry.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from aves_convert.weights.model import import_torchaudio
from aves_verify.backends.fairseq_import import import_hubert, quiet

# As the script has them, the longest first where one is in another; * is the layer's number.
NAMES = {
    "post_extract_proj": "feature_projection.projection",
    "encoder.pos_conv.0": "encoder.pos_conv_embed.conv",
    "self_attn.k_proj": "encoder.layers.*.attention.k_proj",
    "self_attn.v_proj": "encoder.layers.*.attention.v_proj",
    "self_attn.q_proj": "encoder.layers.*.attention.q_proj",
    "self_attn.out_proj": "encoder.layers.*.attention.out_proj",
    "self_attn_layer_norm": "encoder.layers.*.layer_norm",
    "fc1": "encoder.layers.*.feed_forward.intermediate_dense",
    "fc2": "encoder.layers.*.feed_forward.output_dense",
    "final_layer_norm": "encoder.layers.*.final_layer_norm",
    "encoder.layer_norm": "encoder.layer_norm",
    "mask_emb": "masked_spec_embed",
}
_CONVOLUTION = {"0": "conv", "2": "layer_norm"}
_WEIGHT_NORM = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
_UNUSED = ("final_proj.", "label_embs_concat")


def main(checkpoint: str, folder: Path) -> None:
    """Convert one; every tensor must find its place."""
    import_hubert()  # on today's Python too
    import_torchaudio()  # beside today's torch too; transformers imports it
    with quiet():
        from fairseq import checkpoint_utils
        from transformers import HubertConfig, HubertModel

        model = HubertModel(HubertConfig())
        (original,), _, _ = checkpoint_utils.load_model_ensemble_and_task([checkpoint])
    places: dict[str, Any] = model.state_dict()
    for name, tensor in original.eval().state_dict().items():
        if not name.startswith(_UNUSED):
            places.pop(renamed(name)).copy_(tensor)
    if places:
        raise SystemExit(f"not loaded: {', '.join(places)}")
    model.save_pretrained(folder)


def renamed(name: str) -> str:
    """Give fairseq's tensor the name that it has in HubertModel."""
    parts = name.split(".")
    if parts[0] == "feature_extractor":
        return ".".join([*parts[:3], _CONVOLUTION[parts[3]], parts[-1]])
    if parts[0] == "layer_norm":
        return f"feature_projection.{name}"
    key = next(key for key in NAMES if f".{key}." in f".{name}.")
    layer = parts[2] if parts[1:2] == ["layers"] else ""
    ending = name.partition(key)[2]
    new = NAMES[key].replace("*", layer) + ending
    return new.removesuffix(parts[-1]) + _WEIGHT_NORM.get(parts[-1], parts[-1]) if ending else new


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
