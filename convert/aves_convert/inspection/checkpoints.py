"""Inspecting files of ``torch.save``: a fairseq checkpoint or TorchAudio weights, and whether they convert."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aves_artifacts.base.errors import MOST_TOLD, InputError
from aves_artifacts.base.messages import first_of, listed
from aves_artifacts.bundle.manifest import stem_of
from aves_artifacts.encoder import EncoderConfig, encoder_shapes
from aves_convert.checkpoint.architecture import architecture
from aves_convert.checkpoint.checkpoint import Checkpoint, checkpoint_of
from aves_convert.checkpoint.config_entries import MOST_RECORDED, unknown_entries
from aves_convert.checkpoint.forms import kind_of
from aves_convert.checkpoint.pretrained import PUBLISHED, completed
from aves_convert.checkpoint.shapes import NOT_TOLD, Told
from aves_convert.inspection.finding import Inspection, shell_command, sibling
from aves_convert.pickles.dangerous_calls import dangerous_calls
from aves_convert.pickles.records import preview
from aves_convert.torch_files.reader import TorchFile, open_torch_file, wanted_calls
from aves_convert.torch_files.tensors import LazyTensor
from aves_convert.weights.heads import projection_sizes
from aves_convert.weights.ledger import account
from aves_convert.weights.state_dict import misfit

_MAX_CALLS = 100
_DIALECTS = {
    "TorchAudio state dict": "weight_g, weight_v (read by every torch from 2.0 on)",
    "TorchAudio state dict (parametrizations)": "parametrizations.weight.original0/1 (read by newer torch only)",
}
_LAYERS = "encoder.transformer.layers."
_CONVOLUTIONS = "feature_extractor.conv_layers."


def inspect_torch_file(path: Path) -> Inspection:
    """Tell what is in a file of ``torch.save`` or a pickle; no tensor is read. Raises InputError for anything else."""
    try:
        file = open_torch_file(path)
    except InputError as error:
        wanted = [str(call) for call in dangerous_calls(wanted_calls(path))[:_MAX_CALLS]]
        if not wanted:
            raise
        return Inspection(path, "pickle that wants to run something", {"wants_to_run": wanted}, problems=error.problems)
    kind = kind_of(file.root)
    if kind in _DIALECTS:
        return _state_dict(file, kind)
    return _checkpoint(file, checkpoint_of(file))


def _checkpoint(file: TorchFile, checkpoint: Checkpoint) -> Inspection:
    """A fairseq checkpoint, and whether its names, shapes and features are those of a model that converts."""
    if checkpoint.told is not None:
        return _weights(file, checkpoint, checkpoint.told)
    name = checkpoint.model_config.get("_name") or checkpoint.model_config.get("arch")
    facts: dict[str, Any] = {
        **_format(file),
        "model_class": name if type(name) is str else preview(name),
        **tensor_facts(checkpoint.tensors.values()),
        "updates": "not recorded" if checkpoint.num_updates is None else checkpoint.num_updates,
        "labels": _labels(checkpoint),
        "optimizer_state": checkpoint.has_optimizer_state,
        "moving_average": checkpoint.has_ema,
    }
    problems = conversion_facts(checkpoint, facts)
    facts["converts"] = not problems
    if problems:
        return Inspection(file.path, checkpoint.kind, facts, problems=problems)
    return Inspection(
        file.path, checkpoint.kind, facts, shell_command("aves-convert", "bundle", file.path, "--out", "ports")
    )


# Without the parts of pretraining HuBERT and wav2vec 2.0 are the same network.
_EITHER = {"hubert": "hubert or wav2vec2", "hubert_ctc": "hubert_ctc or wav2vec_ctc"}


def _weights(file: TorchFile, checkpoint: Checkpoint, told: Told) -> Inspection:
    """Weights without settings: what their tensors tell, and what must be said of them."""
    facts = {
        **_format(file),
        "model_class": _EITHER.get(told.model_class, told.model_class) if told.ambiguous else told.model_class,
        **tensor_facts(checkpoint.tensors.values()),
        "prefix": told.prefix or None,
        "told_by_tensors": str(told),
        "not_told": NOT_TOLD,
        "sizes_that_fit": [name for name in PUBLISHED if _fits(checkpoint, name)],
    }
    words = ("bundle", file.path, "--pretrained", "CKPT", "--out", "ports")
    return Inspection(file.path, checkpoint.kind, facts, shell_command("aves-convert", *words))


def _fits(checkpoint: Checkpoint, geometry: str) -> bool:
    """Whether weights can be of a published size, as far as tensors tell."""
    try:
        described = completed(checkpoint, None, geometry)
        arch = architecture(described)
        account(described, arch, encoder_shapes(arch.config))
    except InputError:
        return False
    return True


def conversion_facts(checkpoint: Checkpoint, facts: dict[str, Any]) -> tuple[str, ...]:
    """Add what a conversion would find to ``facts``; return why it would stop."""
    problems: tuple[str, ...] = ()
    try:
        arch = architecture(checkpoint, allow_unknown_config=True)
        facts |= {"model_class": arch.model_class, "sample_rate": arch.sample_rate, "normalize": arch.normalize}
        facts |= _geometry(arch.config)
        ledger = account(checkpoint, arch, encoder_shapes(arch.config))
        mapped = [checkpoint.tensors[entry.source] for entry in ledger if entry.source and entry.action == "mapped"]
        facts["encoder_parameters"] = sum(tensor.numel for tensor in mapped)
        facts["projections"] = projection_sizes(checkpoint, arch)
        facts["dropped"] = {str(entry.source): entry.reason for entry in ledger if entry.action == "dropped"}
    except InputError as error:
        problems = error.problems
    try:
        if checkpoint.folder is None and (unknown := unknown_entries(checkpoint)):
            facts["unknown_config"] = {entry.name: entry.value for entry in unknown[:MOST_RECORDED]}
        architecture(checkpoint)
    except InputError as error:
        problems = tuple(dict.fromkeys((*error.problems, *problems)))
    return problems


def _state_dict(file: TorchFile, kind: str) -> Inspection:
    """TorchAudio weights; where their config lies beside them, whether they fit it."""
    root: Any = file.root
    tensors = {name: tensor for name, tensor in root.items() if type(name) is str and isinstance(tensor, LazyTensor)}
    facts = {
        **_format(file),
        "weight_norm": _DIALECTS[kind],
        **tensor_facts(tensors.values()),
        "layers": _count(tensors, _LAYERS),
        "convolutions": _count(tensors, _CONVOLUTIONS),
    }
    config = sibling(file.path, ".pt", ".model_config.json")
    problems: tuple[str, ...] = ()
    if len(tensors) < len(root):
        others = [preview(name) for name in root if name not in tensors]
        problems = (f"{file.path}: holds something else than named tensors: {listed(others, 5)}",)
    elif config is not None:
        found = misfit(EncoderConfig.read(config), {name: tensor.shape for name, tensor in tensors.items()})
        facts["fits_its_config"] = not found
        problems = tuple(
            f"{file.path}: not the weights of {config.name}: {problem}" for problem in first_of(found, MOST_TOLD)
        )
    out = f"{stem_of(file.path.name)}.onnx"
    words = ("torchaudio2onnx", file.path, "--config", config or "MODEL_CONFIG.json", "--out", out)
    return Inspection(
        file.path, "TorchAudio state dict", facts, None if problems else shell_command("aves-convert", *words), problems
    )


def _format(file: TorchFile) -> dict[str, Any]:
    layout = {"zip": "torch.save", "legacy": "torch.save of torch before 1.6"}[file.layout]
    return {"format": layout, "bytes": file.size}


def tensor_facts(tensors: Iterable[LazyTensor]) -> dict[str, Any]:
    """Count tensors, and the numbers in them by their precision."""
    listed = list(tensors)
    precision = Counter(tensor.dtype.name for tensor in listed)
    return {
        "tensors": len(listed),
        "parameters": sum(tensor.numel for tensor in listed if tensor.is_floating_point),
        "precision": dict(precision),
    }


def _labels(checkpoint: Checkpoint) -> dict[str, int]:
    """Name of each label set -> number of its symbols, fairseq's own included."""
    names = checkpoint.task_config.get("labels")
    names = list(names) if isinstance(names, list | tuple) else [names]
    sizes = checkpoint.dictionary_sizes
    if len(names) != len(sizes) or not all(type(name) is str for name in names):
        names = [f"set {index}" for index in range(len(sizes))]
    return dict(zip(names, sizes, strict=True))


def _geometry(config: EncoderConfig) -> dict[str, Any]:
    return {
        "layers": config.encoder_num_layers,
        "dimension": config.encoder_embed_dim,
        "heads": config.encoder_num_heads,
        "feed_forward": config.encoder_ff_interm_features,
        "norm": "pre-norm" if config.encoder_layer_norm_first else "post-norm",
        "extractor": f"{len(config.extractor_conv_layer_config)} convolutions, {config.extractor_mode}",
        "hop": config.hop,
        "receptive_field": config.receptive_field,
        "frames": config.frame_rule,
    }


def _count(names: Iterable[str], prefix: str) -> int:
    return len({name.removeprefix(prefix).partition(".")[0] for name in names if name.startswith(prefix)})
