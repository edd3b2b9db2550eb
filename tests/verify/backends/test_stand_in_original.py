"""A stand-in is a file that fairseq itself takes for one of its own."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.stand_in import write_stand_in
from aves_verify.backends.fairseq_hubert import FairseqBackend
from aves_verify.backends.fairseq_import import import_hubert, quiet


@pytest.mark.parametrize("name", ["bio", "all"])
def test_fairseqs_own_loader_accepts_a_stand_in(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It unpickles; this file is our own, so it may."""
    write_stand_in(name, tmp_path / "x.pt", geometry="tiny")
    import_hubert()
    load: Any = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: load(*args, **{**kwargs, "weights_only": False}))
    loader = importlib.import_module("fairseq.checkpoint_utils").load_model_ensemble_and_task
    with quiet():
        (model,), config, task = loader([str(tmp_path / "x.pt")])
    assert config.model.encoder_layers == 2
    assert len(task.dictionaries[0]) == len(model.label_embs_concat) == 504
    waveform = np.sin(np.arange(8000, dtype=np.float32))[None]
    with torch.no_grad():
        expected, _ = model.eval().extract_features(torch.from_numpy(waveform), padding_mask=None, mask=False)
    found = FairseqBackend(read_checkpoint(tmp_path / "x.pt")).run(waveform)["final"]
    np.testing.assert_array_equal(found, expected.numpy())
