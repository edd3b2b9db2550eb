from pathlib import Path

import onnx
import pytest
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, weights


@pytest.fixture(scope="session")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX file of a tiny encoder. It is everybody's: leave it as it is."""
    path = tmp_path_factory.mktemp("graph") / "x.onnx"
    onnx.save(encoder_graph(TINY, weights(TINY)), path)
    return path
