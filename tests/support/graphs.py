"""Graphs of encoders as one message, for tests that look into them or change them."""

from __future__ import annotations

from typing import Any

import onnx

from aves_convert.graph.encoder import weighted_encoder_graph


def encoder_graph(*args: Any, **kwargs: Any) -> onnx.ModelProto:
    """What ``weighted_encoder_graph`` writes, with the weights inside; unlike ``write_graph`` nothing is checked."""
    return weighted_encoder_graph(*args, **kwargs).proto()
