from pathlib import Path

import pytest

from aves_convert.conversion.request import Source
from aves_convert.conversion.transformers import fairseq_to_transformers


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A folder of one's own, to change."""
    fairseq_to_transformers(Source(tiny_checkpoint), tmp_path / "tiny")
    return tmp_path / "tiny"
