from pathlib import Path

import pytest
from tests.support.corpus_runs import run_over, sounds

from aves_verify.subjects.subject import Subject


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some recordings. They are everybody's: leave them as they are."""
    return sounds(tmp_path_factory.mktemp("corpus") / "sea")


@pytest.fixture(scope="session")
def whole(subject: Subject, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parts of a run over them that went through. They are everybody's, too."""
    parts = tmp_path_factory.mktemp("whole") / "parts"
    assert not run_over(subject, corpus, parts).missing
    return parts
