from pathlib import Path

import pytest

from aves_artifacts.bundle.bundle import Bundle
from aves_verify.subjects.subject import Subject, of_bundle


@pytest.fixture(scope="session")
def subject(tiny_bundle: Bundle, tiny_checkpoint: Path) -> Subject:
    """The tiny bundle with the checkpoint that it was made from."""
    return of_bundle(tiny_bundle.folder, tiny_checkpoint)
