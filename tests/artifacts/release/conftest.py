import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.bundles import as_document, copied, report_on
from tests.support.releases import make_reported
from tests.support.servers.s3_server import BUCKET, S3Server, serving

from aves_artifacts.bundle.attach import attach_report
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.release.address import Address, open_address
from aves_artifacts.release.gate import Verified, verified


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running server; ``monkeypatch.setenv`` its environment, or give it to a process."""
    with serving(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow), "memory"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Address:
    """A place of each kind where nothing is yet."""
    if request.param == "folder":
        return open_address(f"file://{tmp_path}/new/place/")
    if request.param == "memory":
        return open_address(f"memory://{uuid.uuid4().hex}")
    server: S3Server = request.getfixturevalue("s3")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return open_address(f"s3://{BUCKET}/{uuid.uuid4().hex}")


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
