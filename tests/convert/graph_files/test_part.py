"""A part of a graph computes what the whole graph computes there."""

import numpy as np
import pytest
from tests.support.tiny_encoders import answers, clip, open_session, tiny, weights

from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.encoder import weighted_encoder_graph
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph_files.part import part_of
from aves_convert.graph_files.weighted import WeightedGraph

CUT = "/encoder/transformer/layers.1/final_layer_norm/Add"


def whole(config: EncoderConfig) -> WeightedGraph:
    return weighted_encoder_graph(config, weights(config), OnnxOptions(layers="all"))


def test_two_parts_one_after_the_other_are_the_whole() -> None:
    config = tiny("base")
    graph, waveform = whole(config), clip(3000)
    exact = answers(open_session(graph.proto()), waveform)
    first, second = part_of(graph, "waveform", CUT), part_of(graph, CUT, "embeddings")
    assert not set(first.arrays) & set(second.arrays)
    assert {*first.arrays, *second.arrays} == set(graph.arrays)
    (value,) = open_session(first.proto()).run(None, {"waveform": waveform.numpy()})
    assert value.shape == (exact["layer.1"].shape[1], config.encoder_embed_dim)
    (found,) = open_session(second.proto()).run(None, {"waveform": waveform.numpy(), CUT: value})
    np.testing.assert_allclose(found, exact["embeddings"], atol=1e-5)


def test_weights_are_not_copied() -> None:
    graph = whole(tiny("base"))
    part = part_of(graph, CUT, "embeddings")
    assert all(array is graph.arrays[name] for name, array in part.arrays.items())


@pytest.mark.parametrize(("start", "end"), [("embeddings", CUT), (CUT, CUT), ("nothing", CUT)])
def test_what_does_not_come_from_there_is_refused(start: str, end: str) -> None:
    with pytest.raises(ValueError, match="does not come from"):
        part_of(whole(tiny("base")), start, end)
