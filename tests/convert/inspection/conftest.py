from pathlib import Path

import pytest
from tests.support.inspected import written

from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle called tiny; the checkpoint tiny.pt lies beside it."""
    folder = tmp_path_factory.mktemp("inspected")
    make_bundle(Source(written(folder / "tiny.pt", {})), Target(folder / "bundle", "tiny"))
    return folder / "bundle"
