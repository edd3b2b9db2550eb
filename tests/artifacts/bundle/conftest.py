import sys

import pytest
from tests.support.bundles import make_verified

from aves_artifacts.bundle.bundle import Bundle


@pytest.fixture(scope="session")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with every file that there can be. It is everybody's: leave it as it is."""
    return make_verified(tmp_path_factory.mktemp("verified") / "bundle")


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where torch and ONNX Runtime are not installed."""
    for module in ("torch", "onnxruntime"):
        monkeypatch.setitem(sys.modules, module, None)
