"""The names of the input and of metadata in the ONNX graphs that this project writes.

Whoever writes a graph, checks one or runs one has them from here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from aves_artifacts.base.versions import own_version
from aves_artifacts.encoder import EncoderConfig

PRODUCER = "aves-convert"
WAVEFORM = "waveform"  # the input, [batch, samples], or with an axis for its only channel [batch, 1, samples]
_UNKNOWN = "unknown"


def is_waveform(axes: Sequence[object]) -> bool:
    """Whether an input with these axes takes waveforms: [batch, samples], or [batch, 1, samples]."""
    return len(axes) == 2 or (len(axes) == 3 and axes[1] == 1)


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
