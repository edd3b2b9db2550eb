"""Weights lie beside their graph, as the arrays that they were given as."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from tests.support.graphs import encoder_graph
from tests.support.tensors import arrays
from tests.support.tiny_encoders import TINY, weights

from aves_artifacts.encoder import encoder_shapes
from aves_convert.graph.build import weighted_graph, write_graph
from aves_convert.graph.encoder import weighted_encoder_graph
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph_files.weighted import LARGEST_INSIDE, raw_bytes

COMPUTED = ("feature_extractor.conv_layers.0.", "encoder.transformer.pos_conv_embed.conv.weight")


def test_a_weight_is_the_state_dicts_own_memory() -> None:
    state_dict = arrays(weights(TINY))
    beside = weighted_graph(TINY, state_dict).arrays
    untouched = [
        name
        for name, shape in encoder_shapes(TINY).items()
        if np.prod(shape) > LARGEST_INSIDE and not name.startswith(COMPUTED)
    ]
    assert len(untouched) > 20
    for name in untouched:
        assert np.shares_memory(beside[name], state_dict[name]), name


def test_the_model_has_every_initializer_and_the_values_of_the_small_ones() -> None:
    graph, whole = weighted_graph(TINY, weights(TINY)), write_graph(TINY, weights(TINY))
    tensors = graph.model.graph.initializer
    assert [tensor.name for tensor in tensors] == [tensor.name for tensor in whole.graph.initializer]
    assert {tensor.name for tensor in tensors if not tensor.HasField("raw_data")} == graph.arrays.keys()
    assert all(len(tensor.raw_data) <= 8 * LARGEST_INSIDE for tensor in tensors)
    for tensor in whole.graph.initializer:
        onnx.checker.check_tensor(tensor)


def test_taken_together_it_is_a_model_of_its_own() -> None:
    graph = weighted_encoder_graph(TINY, weights(TINY))
    whole = graph.proto()
    assert whole == encoder_graph(TINY, weights(TINY)) == graph.proto()
    assert whole != graph.model
    del whole.graph.node[:]
    assert len(graph.model.graph.node)


def test_a_traced_graph_has_its_weights_inside() -> None:
    graph = weighted_graph(TINY, arrays(weights(TINY)), OnnxOptions(exporter="torch"))
    assert not graph.arrays
    assert graph.proto() == graph.model


@pytest.mark.parametrize("layout", ["as it is", "transposed", "every other", "big-endian", "nothing", "one number"])
def test_bytes_are_in_order_and_little_endian(layout: str) -> None:
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    array = {
        "as it is": values,
        "transposed": values.T,
        "every other": values[:, ::2],
        "big-endian": values.astype(">f4"),
        "nothing": values[:0],
        "one number": values[0, 1:2].reshape(()),
    }[layout]
    shown = raw_bytes(array)
    assert shown.tobytes() == array.astype("<f4").tobytes()
    assert shown.nbytes == array.nbytes
    copied = layout in ("transposed", "every other", "big-endian", "nothing")
    assert np.shares_memory(np.frombuffer(shown, np.uint8), values) != copied
