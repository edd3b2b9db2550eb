from collections.abc import Iterator

import pytest
from tests.support.servers.s3_server import S3Server, serving


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running server; ``monkeypatch.setenv`` its environment, or give it to a process."""
    with serving(tmp_path_factory.mktemp("s3")) as server:
        yield server
