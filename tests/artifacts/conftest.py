import uuid
from pathlib import Path

import pytest
from tests.support.servers.s3_server import BUCKET, S3Server

from aves_artifacts.files.address import Address, open_address


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
