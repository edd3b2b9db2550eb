"""Files that torch.save did not write are called what they are."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from aves_artifacts.base.errors import InputError
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.inspection.identify import inspect
from aves_convert.torch_files.reader import open_torch_file, wanted_calls


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("made_by", ["script", "trace"])
@pytest.mark.parametrize("packed", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED], ids=["compressed", "stored"])
def test_a_program_of_torchscript_is_named(made_by: str, packed: int, tmp_path: Path) -> None:
    """torch.jit.save compresses the program; a file that went through another tool may be stored."""
    jit: Any = torch.jit
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.GELU())
    jit.save(jit.script(module) if made_by == "script" else jit.trace(module, torch.ones(1, 2)), tmp_path / "jit.pt")
    with zipfile.ZipFile(tmp_path / "jit.pt") as source, zipfile.ZipFile(tmp_path / "x.pt", "w") as copy:
        assert {entry.compress_type for entry in source.infolist()} == {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
        for entry in source.infolist():
            copy.writestr(entry.filename, source.read(entry), packed)

    for path in (tmp_path / "jit.pt", tmp_path / "x.pt"):
        for read in (open_torch_file, wanted_calls, read_checkpoint):
            with pytest.raises(InputError, match=r"this is a TorchScript archive, .*give the \.pt file") as caught:
                read(path)
            assert "\n" not in str(caught.value)
        assert inspect(path).problems == caught.value.problems
