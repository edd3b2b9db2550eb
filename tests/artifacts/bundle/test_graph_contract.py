import pytest
from tests.support.documents import BASE

from aves_artifacts.bundle.graph_contract import onnx_metadata


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
