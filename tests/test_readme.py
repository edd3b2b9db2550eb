"""The README's snippets, executed exactly as they stand there."""

import re
from pathlib import Path
from typing import Any

import pytest

from aves_convert.onnx_options import OnnxOptions
from aves_convert.ports import Target, make_bundle
from aves_convert.stand_in import write_stand_in
from aves_convert.torchaudio_model import import_torchaudio

SNIPPETS = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=["torchaudio", "onnxruntime"])
def test_a_snippet_gives_embeddings(snippet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stand_in("bio", tmp_path / "x.pt", geometry="tiny")
    make_bundle(tmp_path / "x.pt", Target(tmp_path, "aves-base-bio"), OnnxOptions())
    monkeypatch.chdir(tmp_path)
    import_torchaudio()  # a user's torch and torchaudio belong together; the newest ones of a test run may not
    names: dict[str, Any] = {}
    exec(snippet, names)  # noqa: S102 - our own README
    assert tuple(names["embeddings"].shape) == (1, 49, 24)
