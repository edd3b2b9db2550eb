"""The names of outputs, and what a graph's names mean."""

import pytest

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.outputs import GraphOutputs, Output, is_deep, is_layer, is_of_heads, layer_name

NAMES = {
    "embeddings": Output("features"),
    "logits": Output("logits"),
    "layer.0": Output("features", 0),
    "layer.23": Output("features", 23),
    "projection": Output("projection"),
    "projection.1": Output("projection", label_set=1),
    "layer.8.projection": Output("projection", 8),
    "layer.8.projection.0": Output("projection", 8, 0),
    "layer.5.units": Output("units", 5),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_what_the_output_is_and_back(name: str) -> None:
    assert Output.of(name) == NAMES[name]
    assert NAMES[name].name == name


MEANINGLESS = """. layer layer. layer.08 layer.-1 layer.8. layer.8projection .projection units layer.8.projections
projection. projection.x layer.8.units.0 Layer.8 layer.9999999"""


@pytest.mark.parametrize("name", ["", "layer.8 ", *MEANINGLESS.split()])
def test_other_names_say_nothing(name: str) -> None:
    assert Output.of(name) is None


def test_layers_are_counted_from_0_and_known_by_their_names() -> None:
    assert layer_name(0) == "layer.0"
    assert [name for name in NAMES if is_layer(name)] == ["layer.0", "layer.23"]
    assert not any(map(is_deep, ("embeddings", "logits", "projection", "projection.1", "something")))
    assert [name for name in NAMES if is_deep(name)] == [name for name in NAMES if name.startswith("layer.")]
    assert [name for name in NAMES if is_of_heads(name)] == list(NAMES)[4:]


def test_a_first_output_of_no_known_name_has_the_embeddings() -> None:
    assert GraphOutputs(("embeddings", "layer.0")).called == {"final": "embeddings", "layer.0": "layer.0"}
    assert GraphOutputs(("last_hidden_state",)).called == {"final": "last_hidden_state"}
    assert GraphOutputs(("output", "embeddings")).called == {"final": "output", "embeddings": "embeddings"}


def test_a_first_output_of_a_known_name_is_that_and_nothing_else() -> None:
    outputs = GraphOutputs(("layer.8.projection", "embeddings", "other"))
    assert outputs.called == {"layer.8.projection": "layer.8.projection", "final": "embeddings"}
    assert outputs.unknown == ("other",)


def test_each_layer_is_left_out_unasked_and_a_named_one_is_not() -> None:
    each = GraphOutputs(("embeddings", "layer.0", "layer.1", "layer.0.projection"), layers=2)
    assert each.give_layers
    assert list(each.wanted("x", layers=False)) == ["final", "layer.0.projection"]
    assert list(each.wanted("x", layers=True)) == ["final", "layer.0", "layer.1", "layer.0.projection"]
    named = GraphOutputs(("embeddings", "layer.0"), layers=2)
    assert not named.give_layers
    assert list(named.wanted("x", layers=False)) == ["final", "layer.0"]
    assert not GraphOutputs(("layer.0", "layer.1"), layers=2).give_layers


def test_layers_of_a_graph_that_has_none() -> None:
    with pytest.raises(InputError, match="gives only the last layer"):
        GraphOutputs(("embeddings", "projection")).wanted("x.onnx", layers=True)
