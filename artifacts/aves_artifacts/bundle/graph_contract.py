"""The names of inputs, outputs and metadata in the ONNX graphs that this project writes.

Whoever writes a graph, checks one or runs one has them from here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.versions import own_version
from aves_artifacts.encoder import EncoderConfig

PRODUCER = "aves-convert"
WAVEFORM = "waveform"  # the input, [batch, samples]
EMBEDDINGS = "embeddings"  # the first output, [batch, frames, dimension]: what the original returns
LOGITS = "logits"  # [batch, frames, letters], of a fine-tuned model's head
_LAYER = "layer."
_UNKNOWN = "unknown"


def layer_name(index: int) -> str:
    """The name of a transformer layer's output; the first layer is 0."""
    return f"{_LAYER}{index}"


def is_layer(name: str) -> bool:
    """Whether this is the name of a layer's output."""
    return name.startswith(_LAYER)


def stated(
    *,
    configuration: str,
    sample_rate: int,
    hop: int,
    receptive_field: int,
    dimension: int,
    normalize: bool | None,
    licence: str,
    source_sha256: str,
) -> dict[str, str]:
    """What a graph says of its encoder, in the form of ``metadata_props``. Lengths are in samples, the rate in Hz.

    ``licence`` of the weights is an SPDX identifier; empty: not known. So is a ``normalize`` of None.
    """
    return {
        "configuration": configuration,
        "sample_rate": str(sample_rate),
        "hop": str(hop),
        "receptive_field": str(receptive_field),
        "dimension": str(dimension),
        "normalize": _UNKNOWN if normalize is None else json.dumps(normalize),
        "licence": licence or _UNKNOWN,
        "source_sha256": source_sha256,
    }


def onnx_metadata(
    config: EncoderConfig, *, name: str, normalize: bool | None, sample_rate: int, source_sha256: str, licence: str
) -> dict[str, str]:
    """The ``metadata_props`` of a graph of this geometry, which this version of the tool writes; see ``stated``."""
    said = stated(
        configuration=name,
        sample_rate=sample_rate,
        hop=config.hop,
        receptive_field=config.receptive_field,
        dimension=config.encoder_embed_dim,
        normalize=normalize,
        licence=licence,
        source_sha256=source_sha256,
    )
    return {**said, "converter": f"{PRODUCER} {own_version()}"}


@dataclass(frozen=True)
class GraphOutputs:
    """The outputs of a graph from anywhere: the first has the final embeddings, others are known by their names."""

    names: tuple[str, ...]

    @property
    def give_layers(self) -> bool:
        """Whether there is a layer's output among them."""
        return any(map(is_layer, self.names[1:]))

    @property
    def unknown(self) -> tuple[str, ...]:
        """The outputs that nothing of an original has the name of."""
        return tuple(name for name in self.names[1:] if name not in (LOGITS, EMBEDDINGS) and not is_layer(name))

    def wanted(self, where: object, *, layers: bool) -> dict[str, str]:
        """What is asked of an encoder -> the graph's name of it: ``final``, with ``layers`` each layer, logits.

        A second output called ``embeddings`` is among them. Raises InputError about the file ``where``, if layers are
        wanted and it has none.
        """
        if layers and not self.give_layers:
            raise InputError(
                f"{where}: gives only the last layer",
                hint="write it with {layers} all, or compare with {layers} last",
            )
        others = self.names[1:]
        found = {"final": self.names[0]} | {name: name for name in others if layers and is_layer(name)}
        return found | {name: name for name in others if name in (LOGITS, EMBEDDINGS)}
