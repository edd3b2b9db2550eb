"""Building fairseq's own models from a file that was read without fairseq and without unpickling."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn import init
from torch.overrides import TorchFunctionMode

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import one_line, printable, reason_of
from aves_convert.checkpoint.architecture import architecture
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.conv_feature_layers import parse_conv_feature_layers
from aves_convert.checkpoint.hubert_keys import ENCODER_PREFIX, HEAD_PREFIX
from aves_convert.checkpoint.model_class import encoder_entries, model_class, wrapper
from aves_verify.backends.fairseq_import import import_hubert, quiet

# Settings that act in training alone are switched off, because in evaluation they still have a side effect: with layer
# drop the encoder draws from numpy's global generator, with the other every layer's forward is wrapped.
_TRAINING_ONLY = {"encoder_layerdrop": 0.0, "checkpoint_activations": False}
# Also of training alone, and written in several ways over the years: fairseq's default will do.
_NOT_READ = frozenset({"latent_temp"})

_MODULES = {
    "hubert": "fairseq.models.hubert.hubert",
    "hubert_ctc": "fairseq.models.hubert.hubert_asr",
    "wav2vec2": "fairseq.models.wav2vec.wav2vec2",
    "wav2vec_ctc": "fairseq.models.wav2vec.wav2vec2_asr",
    "contentvec": "fairseq.models.hubert.hubert",
}
_CLASSES = {
    "hubert": "HubertModel",
    "hubert_ctc": "HubertCtc",
    "wav2vec2": "Wav2Vec2Model",
    "wav2vec_ctc": "Wav2VecCtc",
    # its own class is in no release of fairseq; up to the layers of the speaker it computes what HuBERT's computes
    "contentvec": "HubertModel",
}


def load_original(checkpoint: Checkpoint) -> Any:
    """The model of fairseq's own class with the file's weights, strictly loaded, in float32 and evaluation mode.

    Raises InputError where fairseq does not import, or where config and weights make no such model.
    """
    name = model_class(checkpoint)
    import_hubert()
    try:
        with quiet(), _NoInitialisation():
            model = _build(name, checkpoint).eval()
    except Exception as error:  # omegaconf, torch and fairseq raise what they like for a config that makes no sense
        raise InputError(
            f"{checkpoint.path}: fairseq builds no {_CLASSES[name]} from this config: {reason_of(error)}"
        ) from error
    _load(model, name, checkpoint)
    return model


class _NoInitialisation(TorchFunctionMode):
    """Makes drawing random weights do nothing: that takes longer than reading those that replace them.

    It also leaves the state of the caller's random generator alone. The meta device would be no better: fairseq
    initialises by way of ``Tensor.cpu``, which fails there, and its weight norm makes torch import its compiler (6 s).
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _INITIALISATION:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


_INITIALISATION = frozenset(
    {
        torch.Tensor.normal_,
        torch.Tensor.uniform_,
        init.normal_,
        init.uniform_,
        init.kaiming_uniform_,
        init.kaiming_normal_,
        init.xavier_uniform_,
    }
)


def _build(name: str, checkpoint: Checkpoint) -> Any:
    """The model, its weights not initialised."""
    module = importlib.import_module(_MODULES[name])
    built = getattr(module, _CLASSES[name])
    config = _configs(name, checkpoint)
    _refuse_larger_than_file(config.model, checkpoint)
    if name == "wav2vec2":
        return built(config.model)
    if not name.endswith("_ctc"):
        return built(config.model, config.task, _dictionaries(checkpoint))
    return _build_fine_tuned(module, built, config, checkpoint)


def _build_fine_tuned(module: Any, built: Any, config: Any, checkpoint: Checkpoint) -> Any:
    """What ``build_model`` of fairseq's CTC classes makes when it finds the pretrained model's config in the file.

    The task that it asks would read dictionaries from disk; it only needs their lengths, so it is given those.
    """
    head = checkpoint.tensors.get(f"{wrapper(checkpoint)}{HEAD_PREFIX}proj.weight")
    letters = None if head is None else head.shape[0]
    task = SimpleNamespace(
        target_dictionary=None if letters is None else range(letters),
        state_dict=lambda: {"dictionaries": _dictionaries(checkpoint)},
    )
    # every other entry is dropout or masking, which rest in evaluation
    settings = {"w2v_path": "", "data": "", "normalize": config.task.normalize, "w2v_args": config}
    if built.__name__ == "HubertCtc":
        return built.build_model(module.HubertCtcConfig(**settings), task)
    settings["ddp_backend"] = "no_c10d"
    encoder = module.Wav2VecEncoder(module.Wav2Vec2CtcConfig(**settings), letters)
    return built(module.Wav2Vec2CtcConfig(**settings), encoder)


def _dictionaries(checkpoint: Checkpoint) -> list[Any]:
    """The pretraining's label sets, of which fairseq only asks the length; a None makes it build no embeddings."""
    prefix = wrapper(checkpoint)
    fine_tuned = model_class(checkpoint).endswith("_ctc")
    labels = checkpoint.tensors.get(f"{prefix}{ENCODER_PREFIX if fine_tuned else ''}label_embs_concat")
    rows = labels.shape[0] if labels is not None and labels.shape else None
    if fine_tuned:  # the dictionary in the file is that of the letters
        return [None if rows is None else range(rows)]
    if checkpoint.told is not None:  # how many of the rows belong to which set makes no difference to the encoder
        sets = checkpoint.told.label_sets
        return [None] * sets if rows is None else [range(rows - sets + 1), *[range(1)] * (sets - 1)]
    sizes = checkpoint.dictionary_sizes or (() if rows is None else (rows,))
    return [range(size) for size in sizes]


def _configs(name: str, checkpoint: Checkpoint) -> Any:
    """The encoder's ``model`` and ``task`` config, merged over fairseq's defaults as its ``build_model`` does."""
    omegaconf = importlib.import_module("omegaconf").OmegaConf
    merge = importlib.import_module("fairseq.dataclass.utils").merge_with_parent
    pretrained = "wav2vec2" if name.startswith("wav2vec") else "hubert"
    module = importlib.import_module(_MODULES[pretrained])
    model_config = module.HubertConfig if pretrained == "hubert" else module.Wav2Vec2Config
    entries = {key: value for key, value in encoder_entries(checkpoint).items() if value is not None}
    # fairseq hands this string to eval(): it gets one that is written here, from numbers
    default = model_config.__dataclass_fields__["conv_feature_layers"].default
    layers = parse_conv_feature_layers(str(entries.get("conv_feature_layers", default)))
    overrides = {"_name": pretrained, "conv_feature_layers": repr(list(layers)), **_TRAINING_ONLY}
    task_config, task_name = _task_config(pretrained)
    task = _known(checkpoint.task_config, task_config)
    if name == "wav2vec_ctc":
        overrides["quantize_targets"] = False  # a fine-tuned model has the quantiser taken away again
    if name.endswith("_ctc"):  # those of fine-tuning say nothing of the pretraining's labels
        task = {"data": "", "labels": ["km"] if pretrained == "hubert" else None}
        task["normalize"] = checkpoint.task_config.get("normalize") is True
    root = omegaconf.create({"model": {**_known(entries, model_config), **overrides}, "task": task})
    root.task = merge(task_config(), root.task)
    root.task._name = task_name
    root.model = merge(model_config(), root.model)  # HuBERT's default label_rate refers to the task's
    return root


def _task_config(pretrained: str) -> tuple[Any, str]:
    if pretrained == "hubert":
        return importlib.import_module(_MODULES["hubert"]).HubertPretrainingConfig, "hubert_pretraining"
    return importlib.import_module("fairseq.tasks.audio_pretraining").AudioPretrainingConfig, "audio_pretraining"


def _known(entries: Mapping[str, Any], config_class: Any) -> dict[str, Any]:
    """The entries that fairseq's config class has; files carry more, of other versions and of hydra."""
    names = [name for name in config_class.__dataclass_fields__ if name not in _NOT_READ]
    return {name: entries[name] for name in names if entries.get(name) is not None}


def _refuse_larger_than_file(model_config: Any, checkpoint: Checkpoint) -> None:
    """A model is allocated on its config's word: see first that the file's tensors are of that order."""
    largest = max((size for tensor in checkpoint.tensors.values() for size in tensor.shape), default=0)
    limits = {"encoder_layers": len(checkpoint.tensors)}
    limits |= dict.fromkeys(("encoder_embed_dim", "encoder_ffn_embed_dim", "conv_pos", "final_dim"), largest)
    sizes = {name: model_config[name] for name in limits}
    convolutions = parse_conv_feature_layers(model_config.conv_feature_layers)
    sizes["conv_feature_layers"] = max(max(channels, kernel) for channels, kernel, _stride in convolutions)
    if "quantize_targets" in model_config and model_config.quantize_targets:
        limits["quantizer_depth"] = len(checkpoint.tensors)
        sizes["quantizer_depth"] = model_config.quantizer_depth
        sizes["latent_vars"] = model_config.latent_vars * model_config.latent_groups
        if model_config.quantizer_depth > 1:
            sizes["quantizer_factor"] = model_config.quantizer_factor * convolutions[-1][0]
    for name, size in sizes.items():
        if size > limits.get(name, largest):
            raise InputError(f"{name} says {size}, more than the file has tensors for")


def _unused(model: Any, name: str) -> dict[str, torch.Tensor]:
    """The tensors of fairseq's model that the encoder's output does not depend on."""
    prefix = ENCODER_PREFIX if name.endswith("_ctc") else ""
    parts = ("mask_emb", "label_embs_concat", "final_proj.", "target_glu.", "quantizer.", "project_q.")
    names = tuple(prefix + part for part in parts)
    return {key: tensor for key, tensor in model.state_dict().items() if key.startswith(names)}


def _load(model: Any, name: str, checkpoint: Checkpoint) -> None:
    """Put the file's weights in place of the uninitialised ones. Raises InputError naming each that does not fit."""
    wrapped = wrapper(checkpoint)
    dropped = architecture(checkpoint, allow_unknown_config=True).dropped
    state = {
        key.removeprefix(wrapped): torch.from_numpy(tensor.float32())
        for key, tensor in checkpoint.tensors.items()
        if not (key in dropped and dropped[key].foreign)
    }
    model.upgrade_state_dict(state)
    if checkpoint.told is not None:  # somebody took these weights out, without the parts of pretraining
        state |= {key: torch.zeros_like(unused) for key, unused in _unused(model, name).items() if key not in state}
    # torch's own method: fairseq's, which does no more than the upgrade above, does not know assign; nor does torch 2.0
    load = torch.nn.Module.load_state_dict
    assign = {"assign": True} if "assign" in inspect.signature(load).parameters else {}
    try:
        load(model, state, strict=True, **assign)
    except RuntimeError as error:
        raise InputError(
            f"{checkpoint.path}: the weights are not those of the {_CLASSES[name]} in its config: "
            f"{printable(one_line(str(error)), 1000)}"
        ) from None
