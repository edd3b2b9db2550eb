"""Checkpoints that fairseq itself built and saved, at tiny size: every class and shape of model that it knows."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from aves_verify.backends.fairseq_import import import_hubert, quiet

TINY: dict[str, Any] = {
    "conv_feature_layers": "[(8,10,5)] + [(8,3,2)] * 2",
    "encoder_layers": 2,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 4,
    "final_dim": 8,
    "conv_pos": 8,
    "conv_pos_groups": 4,
}
LETTERS = 11
CLUSTERS = 20


@dataclass(frozen=True)
class Variant:
    """A model as its user would configure it: fairseq's name for the class, and entries that differ from TINY."""

    model_class: str = "hubert"
    model: Mapping[str, Any] = field(default_factory=dict)
    task: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[int, ...] = (CLUSTERS,)  # the size of each label set of the pretraining

    @property
    def pretrained(self) -> str:
        """The class of the encoder."""
        return "hubert" if self.model_class.startswith("hubert") else "wav2vec2"


@dataclass(frozen=True)
class Original:
    """fairseq's model, and what its trainer would save of it."""

    model: Any
    cfg: Any  # of the whole training run, a DictConfig
    state: dict[str, Any]

    @property
    def encoder(self) -> Any:
        """The HubertModel or Wav2Vec2Model inside."""
        return self.model.w2v_encoder.w2v_model if hasattr(self.model, "w2v_encoder") else self.model

    def embeddings(self, waveform: torch.Tensor, layer: int | None = None) -> torch.Tensor:
        """What fairseq's own methods return: the final embeddings, or those of one layer (from 0)."""
        with torch.no_grad():
            if type(self.encoder).__name__ == "HubertModel":
                output_layer = None if layer is None else layer + 1
                result: torch.Tensor = self.encoder.extract_features(waveform, output_layer=output_layer)[0]
                return result
            features: torch.Tensor = self.encoder.extract_features(waveform, None, layer=layer)["x"]
            return features

    def layers(self, waveform: torch.Tensor) -> list[torch.Tensor]:
        """Every layer's output from one run, which ``embeddings`` takes a run each for."""
        outputs: list[torch.Tensor] = []
        hooks = [
            layer.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output[0].transpose(0, 1)))
            for layer in self.encoder.encoder.layers
        ]
        frames = self.embeddings(waveform).shape[1]  # fairseq pads inside
        for hook in hooks:
            hook.remove()
        return [output[:, :frames] for output in outputs]

    def logits(self, waveform: torch.Tensor) -> torch.Tensor:
        """What a fine-tuned model returns [batch, frames, letters]."""
        with torch.no_grad():
            output: torch.Tensor = self.model(source=waveform, padding_mask=None)["encoder_out"]
            return output.transpose(0, 1)

    def in_float64(self) -> Original:
        """A copy that computes everything in float64.

        fairseq's Fp32GroupNorm, Fp32LayerNorm and GELU cast to float32 whatever they get; here they are what they would
        be without that, as nothing could be told at 1e-10 otherwise.
        """
        model = self._copy().double()
        modules = importlib.import_module("fairseq.modules")
        for module in model.modules():
            if isinstance(module, modules.Fp32GroupNorm):
                module.__class__ = torch.nn.GroupNorm
            elif isinstance(module, modules.Fp32LayerNorm):
                module.__class__ = torch.nn.LayerNorm
            elif getattr(module, "activation_fn", None) is modules.gelu:
                module.activation_fn = torch.nn.functional.gelu
        return Original(model, self.cfg, {})

    def rounded_to(self, dtype: torch.dtype) -> Original:
        """A copy in float32 whose weights went through ``dtype``."""
        return Original(self._copy().to(dtype).float(), self.cfg, {})

    def _copy(self) -> Any:
        # Until it first runs, a convolution with weight norm holds a weight with a history, which cannot be copied.
        self.embeddings(torch.zeros(1, 4_000))
        return copy.deepcopy(self.model)


def build(variant: Variant, folder: Path) -> Original:
    """Build a variant's model with fairseq's tasks and ``build_model``, give it weights, and lay out its file."""
    import_hubert()
    torch.manual_seed(1)
    with quiet():
        original = _pretrained(variant)
        if variant.model_class.endswith("_ctc"):
            torch.save(original.state, folder / "pretrained.pt")
            original = _fine_tuned(variant, folder / "pretrained.pt")
    return original


def _pretrained(variant: Variant) -> Original:
    if variant.pretrained == "hubert":
        labels = [f"km{i}" for i in range(len(variant.labels))]
        task = {"_name": "hubert_pretraining", "data": "", "labels": labels, "label_rate": 50.0, **variant.task}
    else:
        task = {"_name": "audio_pretraining", "data": "", **variant.task}
    cfg = _config({"_name": variant.pretrained, **TINY, **variant.model}, task)
    state = {"dictionaries": [_dictionary(size) for size in variant.labels]} if "labels" in task else {}
    return _build(cfg, state)


def _fine_tuned(variant: Variant, pretrained: Path) -> Original:
    """As in fine-tuning: fairseq itself reads the pretrained file, and unpickles it, which is ours."""
    model = {"_name": variant.model_class, "w2v_path": str(pretrained)}
    if variant.pretrained == "hubert":
        task = {"_name": "hubert_pretraining", "data": "", "labels": ["ltr"], "fine_tuning": True, **variant.task}
    else:
        task = {"_name": "audio_finetuning", "data": "", "labels": "ltr", **variant.task}
    load: Any = torch.load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "load", lambda *args, **kwargs: load(*args, **{**kwargs, "weights_only": False}))
        return _build(_config(model, task), {"target_dictionary": _dictionary(LETTERS)})


def _config(model: dict[str, Any], task: dict[str, Any]) -> Any:
    """The whole config of a training run, as Hydra composes it from the defaults of fairseq's classes."""
    omegaconf = importlib.import_module("omegaconf").OmegaConf
    models, tasks = importlib.import_module("fairseq.models"), importlib.import_module("fairseq.tasks")
    merge = importlib.import_module("fairseq.dataclass.utils").merge_with_parent
    cfg = omegaconf.create(omegaconf.to_container(omegaconf.structured(_fairseq_config()), enum_to_str=True))
    cfg.task, cfg.model = task, model
    cfg.task = merge(tasks.TASK_DATACLASS_REGISTRY[task["_name"]](), cfg.task)
    cfg.model = merge(models.MODEL_DATACLASS_REGISTRY[model["_name"]](), cfg.model)
    cfg.task._name, cfg.model._name = task["_name"], model["_name"]
    return cfg


def _fairseq_config() -> Any:
    return importlib.import_module("fairseq.dataclass.configs").FairseqConfig


def _dictionary(size: int) -> Any:
    """fairseq's Dictionary of that many symbols, its own four among them."""
    dictionary = importlib.import_module("fairseq.data").Dictionary()
    for i in range(size - len(dictionary)):
        dictionary.add_symbol(str(i))
    return dictionary


def _build(cfg: Any, task_state: dict[str, Any]) -> Original:
    omegaconf = importlib.import_module("omegaconf").OmegaConf
    task = importlib.import_module("fairseq.tasks").setup_task(cfg.task)
    task.load_state_dict(task_state)
    model = task.build_model(cfg.model)
    _perturb(model)
    # what Trainer.state_dict gives: fairseq/trainer.py
    plain = omegaconf.to_container(cfg, resolve=True, enum_to_str=True)
    if hasattr(model, "w2v_encoder"):
        # The pretrained model's config. 0.12.2 loses it from the files of HubertCtc, as it merges the config into a new
        # one before the class adds this; the files that fairseq's authors released have it.
        plain["model"]["w2v_args"] = omegaconf.to_container(model.cfg.w2v_args, resolve=True, enum_to_str=True)
    state = {
        "args": None,
        "cfg": plain,
        "model": model.state_dict(),
        "criterion": {},
        "optimizer_history": [
            {"criterion_name": "X", "optimizer_name": "Y", "lr_scheduler_state": {}, "num_updates": 7}
        ],
        "task_state": task.state_dict(),
        "extra_state": {"metrics": [], "previous_training_time": 1.0, "epoch": 1},
        "last_optimizer_state": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []},
    }
    return Original(model.eval(), cfg, state)


def _perturb(model: Any) -> None:
    """fairseq starts norms at 1 and biases at 0, where many a fault would not show."""
    for name, parameter in model.named_parameters():
        noise = torch.randn_like(parameter)
        if parameter.dim() == 1:
            parameter.data += 0.2 * noise
        elif name.endswith("weight_g"):
            parameter.data *= 1 + 0.2 * noise.abs()
        else:  # what fairseq starts with is small; attention would be nearly uniform
            parameter.data += 0.5 * noise / parameter[0].numel() ** 0.5
