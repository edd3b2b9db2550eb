import pytest
from tests.support.bundles import as_document, copied, report_on
from tests.support.releases import make_reported

from aves_artifacts.bundle.attach import attach_report
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.release.gate import Verified, verified


@pytest.fixture(scope="session")
def reported_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny bundle with a report that passed. It is everybody's: leave it as it is."""
    return make_reported(tmp_path_factory.mktemp("reported") / "bundle")


@pytest.fixture(scope="session")
def passed(reported_bundle: Bundle) -> Verified:
    """The same as the gate lets it through."""
    return verified(reported_bundle.folder)


@pytest.fixture(scope="session")
def reported_with_folder(tiny_with_folder: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny bundle with the folder for transformers, and a report that passed. It is everybody's too."""
    made = copied(tiny_with_folder, tmp_path_factory.mktemp("reported") / "bundle")
    return attach_report(made.folder, as_document(report_on(made.manifest)))


@pytest.fixture(scope="session")
def passed_with_folder(reported_with_folder: Bundle) -> Verified:
    """The same as the gate lets it through."""
    return verified(reported_with_folder.folder)
