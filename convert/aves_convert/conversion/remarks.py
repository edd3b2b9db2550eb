"""What a user must know about a conversion beside its files: what was passed over, line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from aves_artifacts.base.messages import listed, printable
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.weights.to_torchaudio import TorchaudioPort

Tell: TypeAlias = Callable[[str], None]  # takes one line


def silent(_line: str) -> None:
    """Tell nobody."""


def remarks(checkpoint: Checkpoint, converted: TorchaudioPort) -> Iterator[str]:
    """The lines for what was out of the ordinary in a conversion that succeeded; none for an ordinary one."""
    if checkpoint.told is not None:
        given = f"the geometry {checkpoint.geometry}" if checkpoint.geometry else str(checkpoint.pretrained)
        yield f"{checkpoint.path}: weights without settings: the tensors tell {checkpoint.told}"
        yield f"{checkpoint.path}: {given} says {_given(converted)}"
    foreign: dict[str, list[str]] = {}
    for name, rule in converted.architecture.dropped.items():
        if rule.foreign:
            foreign.setdefault(rule.reason, []).append(name)
    for reason, names in foreign.items():
        yield f"{checkpoint.path}: dropped {listed(list(map(printable, names)), 5)}: {reason}"
    for entry in converted.architecture.unknown:
        yield f"{checkpoint.path}: passed over {entry} of the config, which is no entry of fairseq's"


def _given(converted: TorchaudioPort) -> str:
    """The settings that no shape tells."""
    config, described = converted.config, converted.architecture
    strides = [stride for _channels, _kernel, stride in config.extractor_conv_layer_config]
    return (
        f"strides of {strides}, {config.encoder_num_heads} heads, "
        f"{'pre-norm' if config.encoder_layer_norm_first else 'post-norm'}, a waveform "
        f"{'' if described.normalize else 'not '}normalised, at {described.sample_rate} Hz"
    )
