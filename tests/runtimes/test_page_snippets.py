"""A page's snippets are run as they stand there; one that does not do what it should is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.runtimes.files import Files
from tests.runtimes.snippets import Snippet, run_snippets, snippets

from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.encoder import EncoderConfig

# A client that needs no packages but this environment's.
CLIENT = "TorchAudio"
FENCED = "Text.\n\n<!-- snippet: {} -->\n\n```python\n{}\n```\n\nMore.\n"


@pytest.fixture
def files(tmp_path: Path, tiny_bundle: Bundle) -> Files:
    (tmp_path / "float32.onnx").write_bytes(b"a graph")
    return Files(tmp_path, tiny_bundle.path("torchaudio"), tiny_bundle.path("config"))


def failures(code: str, files: Files) -> list[str]:
    page = files.folder / "page.md"
    page.write_text(FENCED.format(CLIENT, code))
    return run_snippets(page, files, quick=False)


def test_what_is_found_on_a_page() -> None:
    page = FENCED.format("tract", "x") + "```python\nnot one\n```\n" + FENCED.format("MNN", "y")
    assert snippets(page) == [Snippet("tract", "python", "x\n"), Snippet("MNN", "python", "y\n")]


def test_a_snippet_sees_the_graph_and_the_waveform(files: Files) -> None:
    dim = EncoderConfig.read(files.config_file).encoder_embed_dim
    code = (
        "import numpy as np\nassert open('encoder.onnx', 'rb').read() == b'a graph'\n"
        f"assert np.load('waveform.npy').shape == (1, 16000)\nprint('what', (1, 49, {dim}))"
    )
    assert failures(code, files) == []


@pytest.mark.parametrize("code", ["print((1, 48, 24))", "print('nothing')", "raise ValueError('gone')", ""])
def test_a_snippet_that_gives_something_else_is_named(code: str, files: Files) -> None:
    (line,) = failures(code, files)
    assert line.startswith("page.md, snippet for TorchAudio: expected the sizes [1, 49, ")
    assert "gone" in line or "gone" not in code


def test_a_quick_session_leaves_out_other_clients(files: Files) -> None:
    page = files.folder / "page.md"
    page.write_text(FENCED.format(CLIENT, "raise ValueError"))
    assert run_snippets(page, files, quick=True) == []
