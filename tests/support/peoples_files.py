"""Files that people have of a HuBERT beside the trainer's own, each in the format of the tool that writes it.

Each is made of a checkpoint that fairseq built and saved, so that fairseq's own outputs are known.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tests.support.fairseq_models import Original
from torch import nn

from aves_verify.backends.fairseq_import import import_hubert

SPEAKER = 64  # dimensions of ContentVec's speaker embedding; its trainer has 256

# ContentvecConfig and ContentvecPretrainingConfig, where they have other entries than HuBERT's; the values are those of
# the trainer's run_pretrain_single.sh.
CONTENTVEC_MODEL = {
    "_name": "contentvec",
    "encoder_layers_1": 3,
    "ctr_layers": [-6],
    "logit_temp_ctr": 0.1,
    "num_negatives": 100,
    "cross_sample_negatives": 0,
}
CONTENTVEC_TASK = {"_name": "contentvec_pretraining", "crop": True, "spk2info": "./spk2info.dict"}
# entries that came into HuBERT's config after the version that ContentVec's trainer is built on
LATER = ("layer_type", "depthwise_conv_kernel_size", "attn_type", "pos_enc_type", "fp16", "required_seq_len_multiple")


class ConditionedNorm(nn.Module):
    """The parameters of ContentVec's ``CondLayerNorm``: gain and bias are linear in the speaker's embedding."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight_ln = nn.Linear(SPEAKER, dim, bias=False)
        self.bias_ln = nn.Linear(SPEAKER, dim, bias=False)


def contentvec(original: Original) -> dict[str, Any]:
    """What ContentVec's trainer saves of a model whose encoder is that of a HubertModel of fairseq.

    ``TransformerEncoder_1`` appends its layers to those of the encoder, and has a norm of its own in the end.
    """
    whole = original.rounded_to(torch.float32).model
    dim = whole.encoder.embedding_dim
    for _ in range(3):
        further = copy.deepcopy(whole.encoder.layers[0])
        further.self_attn_layer_norm, further.final_layer_norm = ConditionedNorm(dim), ConditionedNorm(dim)
        whole.encoder.layers.append(further)
    whole.encoder.cond_layer_norm = ConditionedNorm(dim)
    whole.layer_proj = nn.Linear(dim, whole.label_embs_concat.shape[1])
    cfg = copy.deepcopy(original.state["cfg"])
    cfg["model"] = {name: value for name, value in cfg["model"].items() if name not in LATER} | CONTENTVEC_MODEL
    cfg["task"] |= CONTENTVEC_TASK
    cfg["criterion"] = {"_name": "contentvec", "pred_masked_weight": 1.0, "loss_weights": [10, 1e-5]}
    return {**original.state, "cfg": cfg, "model": whole.state_dict()}


def legacy_contentvec(contents: Mapping[str, Any]) -> dict[str, Any]:
    """The file that ContentVec's authors publish beside it, by their own recipe: names changed, tensors removed."""
    made = copy.deepcopy(dict(contents))
    for name in ("crop", "spk2info"):
        del made["cfg"]["task"][name]
    made["cfg"]["task"]["_name"], made["cfg"]["model"]["_name"] = "hubert_pretraining", "hubert"
    further = {name.split(".")[2] for name in made["model"] if "layer_norm.weight_ln" in name and ".layers." in name}
    for name in list(made["model"]):
        parts = name.split(".")
        if name.startswith(("layer_proj", "encoder.cond")) or (parts[1:2] == ["layers"] and parts[2] in further):
            del made["model"][name]
    return made


def s3prl(state: Mapping[str, Any]) -> dict[str, Any]:
    """What ``s3prl/upstream/hubert/convert.py`` makes of a checkpoint, and for wav2vec 2.0 without the last entry."""
    made = {"task_cfg": state["cfg"]["task"], "model_cfg": state["cfg"]["model"], "model_weight": state["model"]}
    dictionaries = state["task_state"].get("dictionaries")
    if dictionaries:
        made["dictionaries_symbols"] = [dictionary.symbols for dictionary in dictionaries]
    return made


def lightning(weights: Mapping[str, torch.Tensor], prefix: str) -> dict[str, Any]:
    """A Lightning module's ``.ckpt``: the encoder under the name of its attribute, and a classifier beside it."""
    around = {"classifier.weight": torch.ones(3, 16), "classifier.bias": torch.zeros(3)}
    return {
        "epoch": 3,
        "global_step": 100,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": {**{prefix + name: tensor for name, tensor in weights.items()}, **around},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_path": "x.ckpt"}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 1e-4, "classes": 3},
    }


def wrapped(prefix: str) -> Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda weights: {prefix + name: tensor for name, tensor in weights.items()}


def without_pretraining(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What is left where somebody called fairseq's ``remove_pretraining_modules``, and kept no labels."""
    parts = ("final_proj.", "label_embs_concat", "target_glu.", "mask_emb", "quantizer.", "project_q.")
    return {name: tensor for name, tensor in weights.items() if not name.startswith(parts)}


# Weights alone: name -> what is saved of a model's state dict. The names of wrappers are those of fairseq's fine-tuned
# models, of downstream modules, and of torch's.
ALONE: dict[str, Callable[[Mapping[str, torch.Tensor]], dict[str, Any]]] = {
    "model alone": lambda weights: {"model": dict(weights)},
    "model, cfg lost": lambda weights: {"args": None, "cfg": None, "model": dict(weights), "epoch": 3},
    "empty cfg": lambda weights: {"args": None, "cfg": {}, "model": dict(weights)},
    "state dict": dict,
    "ordered": OrderedDict,
    "torch.compile": wrapped("_orig_mod.module.encoder."),
    "model.": wrapped("model."),
    "hubert.": wrapped("hubert."),
    "module.model.": wrapped("module.model."),
    "w2v_encoder.w2v_model.": wrapped("w2v_encoder.w2v_model."),
    "Lightning": lambda weights: lightning(weights, "model."),
    "Lightning, deep": lambda weights: lightning(weights, "encoder.hubert."),
    "model_state_dict": lambda weights: {"epoch": 1, "model_state_dict": dict(weights), "optimizer_state_dict": {}},
    "without pretraining": without_pretraining,
    "half precision": lambda weights: {name: tensor.half() for name, tensor in weights.items()},
}


def saved(contents: object, path: Path) -> Path:
    """The file as torch.save writes it, with fairseq's own Dictionary in it where there is one."""
    import_hubert()
    torch.save(contents, path)
    return path
