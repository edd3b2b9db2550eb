"""What all tests share."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings
from tests.support import browser
from tests.support.bundles import NAME, copied
from tests.support.servers.s3_server import S3Server, serving
from tests.support.trained_checkpoint import train

from aves_artifacts.bundle.bundle import Bundle
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import write_stand_in
from aves_convert.graph.options import OnnxOptions

# A machine that does other work as well makes single examples slow, which is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

LONGEST_FIRST = ("environments", "trainer", "full_size", "browser", "slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where processes share the tests, files of those that take long come first: none waits in the end."""
    if hasattr(config, "workerinput"):
        marks: dict[Path, set[str]] = {}
        for item in items:
            marks.setdefault(item.path, set()).update(mark.name for mark in item.iter_markers())
        found = {path: [name not in marks[path] for name in LONGEST_FIRST] for path in marks}
        items.sort(key=lambda item: found[item.path])


# What changes how programs print, where they look, and which way they go.
COLOURS = ("FORCE_COLOR", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PY_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
SETTINGS = ("AVES_CATALOG", "AVES_HOME", "AVES_LOCK", "AVES_MIRROR", "AVES_OFFLINE")


@pytest.fixture(scope="session", autouse=True)
def anywhere() -> Iterator[None]:
    """The tests are the same wherever they are started, and so is all they start.

    In a background job of a script Ctrl-C is ignored, which programs inherit; ours keep to it, as whoever starts them
    with nohup expects. Terminals are narrow, or coloured whatever is written to; users have settings.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        for name in (*COLOURS, *SETTINGS):
            patch.delenv(name, raising=False)
        patch.setenv("COLUMNS", "80")
        yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running server; ``monkeypatch.setenv`` its environment, or give it to a process."""
    with serving(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file tiny.pt, a stand-in for bio. It is everybody's: read it, and leave it as it is."""
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.pt"
    write_stand_in("bio", path, geometry="tiny")
    return path


@pytest.fixture(scope="session")
def tiny_bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Its bundle, in which the graph gives every layer. It is everybody's too."""
    folder = tmp_path_factory.mktemp("made") / "bundle"
    return make_bundle(Source(tiny_checkpoint), Target(folder, NAME), OnnxOptions(layers="all"))


@pytest.fixture(scope="session")
def tiny_with_folder(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same with the folder that transformers loads. It is everybody's too."""
    folder = tmp_path_factory.mktemp("with_folder") / "bundle"
    return make_bundle(Source(tiny_checkpoint), Target(folder, NAME, also=("transformers",)))


@pytest.fixture
def bundle(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """The same as a folder of one's own, to change."""
    return copied(tiny_bundle, tmp_path / "bundle")


@pytest.fixture(scope="session", params=["small", "small-prenorm"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint by fairseq's own trainer, made once for all processes of a run. It is everybody's too."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if hasattr(request.config, "workerinput") else base
    with FileLock(shared / f"{request.param}.lock"):
        made = shared / request.param / "checkpoints" / "checkpoint_last.pt"
        return made if made.exists() else train(shared / request.param, request.param)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running browser, for ``browser.visit``; the test is skipped where there is none."""
    browser.need()
    with browser.opened(tmp_path_factory.mktemp("profile")) as driver:
        yield driver
