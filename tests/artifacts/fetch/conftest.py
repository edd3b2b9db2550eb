from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.servers.misbehaving_server import Server, serving
from tests.support.servers.published_files import publish


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of one configuration, a catalogue that names it, and a store where nothing is yet."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with serving() as running:
        monkeypatch.setenv("AVES_CATALOG", str(publish(running, tmp_path)))
        monkeypatch.setenv("AVES_HOME", str(tmp_path / "store"))
        yield running
