"""The original: fairseq's own HubertModel, built from a file that was read without fairseq and without unpickling."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import init
from torch.overrides import TorchFunctionMode

from aves_artifacts.errors import InputError
from aves_convert.conv_feature_layers import parse_conv_feature_layers
from aves_convert.fairseq_checkpoint import Checkpoint
from aves_verify.backends import Embeddings
from aves_verify.fairseq_import import import_hubert, quiet

# Two settings that act in training alone are switched off, because in evaluation they still have a side effect: with
# layer drop the encoder draws from numpy's global generator, with the other every layer's forward is wrapped.
_TRAINING_ONLY = {"encoder_layerdrop": 0.0, "checkpoint_activations": False}


class FairseqBackend:
    """``fairseq.models.hubert.hubert.HubertModel`` with a checkpoint's weights, strictly loaded, in evaluation mode.

    Always float32. In float64 it would be no more exact: it casts to float32 in its group norm, in the extractor's
    layer norms and in its GELU.
    """

    name = "fairseq"

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Raise InputError where fairseq does not import, or where config and weights make no HubertModel."""
        hubert = import_hubert()
        self.version: str = importlib.import_module("fairseq").__version__
        self._model = _build(hubert, checkpoint)
        _load(self._model, checkpoint)

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        """See ``Backend.run``. "final" is ``extract_features(x)[0]``; for a pre-norm model layer-normed."""
        results: list[tuple[torch.Tensor, Any]] = []  # of each layer: the output [frames, batch, dim], something else
        keep_results = self._model.encoder.register_forward_hook(lambda _module, _inputs, out: results.extend(out[1]))
        with torch.inference_mode(), keep_results:
            # a copy, as torch warns of arrays that it may not write to
            final, _ = self._model.extract_features(torch.tensor(waveform), padding_mask=None, mask=False)
            embeddings = {"final": final}
            if layers:
                embeddings |= {f"layer.{i}": result[0].transpose(0, 1) for i, result in enumerate(results)}
            return {name: tensor.contiguous().numpy() for name, tensor in embeddings.items()}


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
    {torch.Tensor.normal_, torch.Tensor.uniform_, init.normal_, init.uniform_, init.kaiming_uniform_}
)


def _build(hubert: ModuleType, checkpoint: Checkpoint) -> Any:
    """The model in evaluation mode, its weights not initialised."""
    model_name = checkpoint.model_config.get("_name") or checkpoint.model_config.get("arch") or "hubert"
    if model_name != "hubert":
        raise InputError(
            f"{checkpoint.path}: a checkpoint of fairseq's model {model_name!r}; the fairseq backend runs 'hubert'"
        )
    try:
        with quiet(), _NoInitialisation():
            model_config, task_config = _configs(hubert, checkpoint)
            _refuse_larger_than_file(model_config, checkpoint)
            # fairseq only asks a dictionary for its length
            dictionaries = [range(size) for size in _dictionary_sizes(checkpoint)]
            return hubert.HubertModel(model_config, task_config, dictionaries).eval()
    except Exception as error:  # omegaconf, torch and fairseq raise what they like for a config that makes no sense
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{checkpoint.path}: fairseq builds no HubertModel from this config: {reason:.300}") from error


def _refuse_larger_than_file(model_config: Any, checkpoint: Checkpoint) -> None:
    """A model is allocated on its config's word: see first that the file's tensors are of that order."""
    largest = max((size for tensor in checkpoint.tensors.values() for size in tensor.shape), default=0)
    limits = {"encoder_layers": len(checkpoint.tensors)}
    limits |= dict.fromkeys(("encoder_embed_dim", "encoder_ffn_embed_dim", "conv_pos", "final_dim"), largest)
    sizes = {name: model_config[name] for name in limits}
    convolutions = parse_conv_feature_layers(model_config.conv_feature_layers)
    sizes["conv_feature_layers"] = max(max(channels, kernel) for channels, kernel, _stride in convolutions)
    for name, size in sizes.items():
        if size > limits.get(name, largest):
            raise InputError(f"{name} says {size}, more than the file has tensors for")


def _configs(hubert: ModuleType, checkpoint: Checkpoint) -> tuple[Any, Any]:
    """The model's and the task's config, merged over fairseq's defaults as its ``build_model`` does for older files."""
    omegaconf = importlib.import_module("omegaconf").OmegaConf
    merge = importlib.import_module("fairseq.dataclass.utils").merge_with_parent
    # fairseq hands this string to eval(): it gets one that is written here, from numbers
    layers = parse_conv_feature_layers(str(checkpoint.model_config.get("conv_feature_layers", _default_layers(hubert))))
    overrides = {"conv_feature_layers": repr(list(layers)), **_TRAINING_ONLY}
    known = {
        "model": {**_known(checkpoint.model_config, hubert.HubertConfig), **overrides},
        "task": _known(checkpoint.task_config, hubert.HubertPretrainingConfig),
    }
    root = omegaconf.create(known)
    root.task = merge(hubert.HubertPretrainingConfig(), root.task)
    root.model = merge(hubert.HubertConfig(), root.model)  # its default label_rate refers to the task's
    return root.model, root.task


def _known(entries: Mapping[str, Any], config_class: Any) -> dict[str, Any]:
    """The entries that fairseq's config class has; files carry more, of other versions and of hydra."""
    return {name: entries[name] for name in config_class.__dataclass_fields__ if name in entries}


def _default_layers(hubert: ModuleType) -> str:
    default: str = hubert.HubertConfig.__dataclass_fields__["conv_feature_layers"].default
    return default


def _dictionary_sizes(checkpoint: Checkpoint) -> tuple[int, ...]:
    """The label sets' sizes; where the file lost its dictionaries, one set of all labels that have an embedding."""
    labels = checkpoint.tensors.get("label_embs_concat")
    return checkpoint.dictionary_sizes or ((labels.shape[0],) if labels is not None and labels.shape else ())


def _load(model: Any, checkpoint: Checkpoint) -> None:
    """Put the file's weights in place of the uninitialised ones. Raises InputError naming each that does not fit."""
    state = {name: tensor.float32() for name, tensor in checkpoint.tensors.items()}
    model.upgrade_state_dict(state)
    try:
        # torch's own method: fairseq's, which does no more than the upgrade above, does not know assign
        torch.nn.Module.load_state_dict(model, state, strict=True, assign=True)
    except RuntimeError as error:
        problems = " ".join(str(error).split())
        raise InputError(
            f"{checkpoint.path}: the weights are not those of the HubertModel in its config: {problems}"
        ) from None
