import pytest
from tests.support.documents import BASE

from aves_artifacts.bundle.graph_contract import onnx_metadata
from aves_artifacts.bundle.outputs import is_layer, layer_name


@pytest.mark.parametrize(("normalize", "said"), [(True, "true"), (False, "false"), (None, "unknown")])
def test_a_graph_says_what_a_user_of_the_lone_file_must_know(normalize: bool | None, said: str) -> None:
    found = onnx_metadata(BASE, name="bio", normalize=normalize, sample_rate=16_000, source_sha256="0f", licence="")
    assert found.pop("converter").startswith("aves-convert ")
    assert found == {
        "configuration": "bio",
        "sample_rate": "16000",
        "hop": "320",
        "receptive_field": "400",
        "dimension": "768",
        "normalize": said,
        "licence": "unknown",
        "source_sha256": "0f",
    }


def test_layers_are_known_by_their_names() -> None:
    assert layer_name(11) == "layer.11"
    assert is_layer(layer_name(0))
    assert not is_layer("logits")
