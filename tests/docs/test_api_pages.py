"""The pages of the public API: each name has its place there, and its example does what it says."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.documents import BASE
from tests.support.servers.misbehaving_server import Server, serving

from aves_convert.weights.model import import_torchaudio

DOCS = Path(__file__).parents[2] / "docs" / "api"
PAGES = {"aves_artifacts": "artifacts.md", "aves_convert": "convert.md", "aves_verify": "verify.md"}
BLOCK = re.compile(r"```python\n(.*?)```", flags=re.DOTALL)
SAID = re.compile(r"^ *print\(.*\)  # (.*)$", flags=re.MULTILINE)


def section(face: str, name: str) -> str:
    """What a page has between a name and the next one."""
    text = (DOCS / PAGES[face]).read_text(encoding="utf-8")
    _, found, rest = text.partition(f"\n::: {face}.{name}\n")
    assert found, f"{PAGES[face]} has no ::: {face}.{name}"
    return re.split(r"^(?:::: |#)", rest, maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("face", PAGES)
def test_every_name_has_an_example_that_imports_it_from_the_face(face: str) -> None:
    names = importlib.import_module(face).__all__
    for name in names:
        shown = "".join(BLOCK.findall(section(face, name)))
        assert re.search(rf"^from {face} import (?:.*, )?{name}\b", shown, flags=re.MULTILINE), name
    given, _, _ = (DOCS / PAGES[face]).read_text(encoding="utf-8").partition("\n## What they give\n")
    assert sorted(re.findall(r"^::: (\S+)$", given, flags=re.MULTILINE)) == sorted(f"{face}.{name}" for name in names)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """The catalogue's address is a server here that has one config; the store is a new one."""
    monkeypatch.setenv("AVES_HOME", str(tmp_path / "store"))
    for name in ("AVES_CATALOG", "AVES_LOCK", "AVES_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        server.files["/ported_aves/aves-base-bio.torchaudio.model_config.json"] = BASE.to_json().encode()
        monkeypatch.setenv("AVES_MIRROR", server.address)
        yield server


@pytest.mark.slow
@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("page", ["index.md", *PAGES.values()])
def test_the_examples_of_a_page_do_what_they_say(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_torchaudio()  # a user's torch and torchaudio belong together; the newest ones of a test run may not
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    assert blocks
    for block in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, page, "exec"), names)  # noqa: S102 - our own pages
        assert printed.getvalue().splitlines() == SAID.findall(block), block
