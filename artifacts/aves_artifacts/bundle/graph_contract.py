"""What an ONNX file of ours says of itself, for whoever has the file alone."""

from __future__ import annotations

import importlib.metadata

from aves_artifacts.encoder import EncoderConfig


def onnx_metadata(
    config: EncoderConfig, *, name: str, normalize: bool | None, sample_rate: int, source_sha256: str, licence: str
) -> dict[str, str]:
    """The ``metadata_props`` of a graph: everything that a user of the lone file must know. Lengths are in samples.

    ``licence`` of the weights is an SPDX identifier; empty: not known.
    """
    return {
        "configuration": name,
        "sample_rate": str(sample_rate),
        "hop": str(config.hop),
        "receptive_field": str(config.receptive_field),
        "dimension": str(config.encoder_embed_dim),
        "normalize": {True: "true", False: "false", None: "unknown"}[normalize],
        "licence": licence or "unknown",
        "source_sha256": source_sha256,
        "converter": f"aves-convert {importlib.metadata.version('aves-ports')}",
    }
