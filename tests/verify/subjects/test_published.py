"""Verifying what a server publishes: the original with our ports, and with the ports that are published beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.support.servers.misbehaving_server import Server, serving

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.manifest import FILE_NAMES
from aves_artifacts.configurations.catalog import catalog
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import write_stand_in
from aves_verify.cli import main
from aves_verify.subjects.published import of_configuration

pytestmark = pytest.mark.slow

CATALOG = """
address = "{address}"
[owls]
file_name = "owls"
dimension = 24
[owls.files]
original = "owls.pt"
torchaudio = "owls.torchaudio.pt"
config = "owls.torchaudio.model_config.json"
onnx = "owls.onnx"
[crows]
file_name = "crows"
dimension = 24
[crows.files]
torchaudio = "crows.torchaudio.pt"
config = "crows.torchaudio.model_config.json"
onnx = "crows.onnx"
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving() as running:
        for name in ("owls", "crows"):
            write_stand_in(name, tmp_path / f"{name}.pt", geometry="tiny")
            make_bundle(Source(tmp_path / f"{name}.pt"), Target(tmp_path, name, force=True))
            ports = (FILE_NAMES[role].format(name=name) for role in ("torchaudio", "config", "onnx"))
            for file in (f"{name}.pt", *ports):
                running.files[f"/{file}"] = (tmp_path / file).read_bytes()
        (tmp_path / "catalog.toml").write_text(CATALOG.format(address=running.address))
        monkeypatch.setenv("AVES_CATALOG", str(tmp_path / "catalog.toml"))
        monkeypatch.setenv("AVES_HOME", str(tmp_path / "store"))
        yield running


def verify(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_an_original_is_fetched_converted_and_verified(server: Server) -> None:
    assert "give --download to fetch it" in verify("owls").output
    result = verify("owls", "--download")
    assert result.exit_code == 0, result.output
    assert [path for path, _ in server.gets] == ["/owls.pt"]
    assert verify("owls").exit_code == 0  # from the store


def test_the_authors_own_ports_are_fetched_and_verified(server: Server) -> None:
    assert "give --download to fetch it" in verify("owls", "--ports", "published").output
    result = verify("owls", "--download", "--ports", "published")
    assert result.exit_code == 0, result.output
    assert len(server.gets) == 4


def test_published_ports_of_another_configuration_fail(server: Server) -> None:
    server.files["/owls.onnx"] = server.files["/crows.onnx"]
    result = verify("owls", "--download", "--ports", "published")
    assert result.exit_code == 1, result.output


@pytest.mark.usefixtures("server")
def test_ports_without_an_original_are_compared_with_each_other() -> None:
    arguments = ("crows", "--download", "--ports", "published")
    assert verify(*arguments).exit_code == 2
    result = verify(*arguments, "--backends", "torchaudio,onnx")
    assert result.exit_code == 0, result.output


@pytest.mark.usefixtures("server")
def test_offline_downloads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVES_OFFLINE", "1")
    result = verify("owls", "--download")
    assert result.exit_code == 2
    assert "not here, and fetching is turned off by $AVES_OFFLINE" in result.output


@pytest.mark.parametrize("arguments", [("owls", "--stand-in", "--download"), ("--fairseq", "x.pt", "--download")])
def test_download_goes_with_names(arguments: tuple[str, ...]) -> None:
    result = verify(*arguments)
    assert result.exit_code == 2
    assert "--download and --ports go with NAME" in result.output


def test_an_original_without_ports_is_told(server: Server) -> None:
    assert verify("owls", "--download", "--ports", "published").exit_code == 0
    result = verify("owls")
    assert result.exit_code == 2
    assert "owls: its original has no ports yet; give --download to make them" in result.output
    before = len(server.gets)
    assert verify("owls", "--download").exit_code == 0
    assert len(server.gets) == before  # all of it is here


def test_a_published_subject_has_the_files_of_the_store(server: Server, tmp_path: Path) -> None:
    assert verify("owls", "--download", "--ports", "published").exit_code == 0
    subject = of_configuration(catalog()["owls"], "published")
    files = {"fairseq": "owls.pt", "torchaudio": "owls.torchaudio.pt", "onnx": "owls.onnx"}
    assert (subject.name, subject.source) == ("owls", "published")
    for backend, name in files.items():
        path = subject.file(backend)
        assert path is not None
        assert path.name == name
        assert path.is_relative_to(tmp_path / "store")
        assert path.read_bytes() == server.files[f"/{name}"]


@pytest.mark.usefixtures("server")
def test_ports_of_ones_own_need_an_original() -> None:
    with pytest.raises(InputError, match="crows: its authors publish ports only"):
        of_configuration(catalog()["crows"], "made")
