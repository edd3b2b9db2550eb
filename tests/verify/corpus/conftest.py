"""What the tests of a corpus share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def shared_audio() -> Path:
    """Real recordings, where the checkout has them beside it."""
    folder = Path(__file__).parents[4] / "shared" / "audio"
    if not folder.is_dir():
        pytest.skip("no real recordings here")
    return folder
