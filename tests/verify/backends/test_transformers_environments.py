"""The oldest transformers that the extra takes, for real: beside it folders load, run, and nothing is said of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.support.environments import interpreter, make_environment, run_program
from tests.support.transformers_folders import source

from aves_convert.conversion.transformers import fairseq_to_transformers
from aves_convert.hugging_face.folder import open_folder
from aves_verify.backends.transformers_model import TransformersBackend

pytestmark = [pytest.mark.environments, pytest.mark.scheduled]

# kind -> whether its original was trained on normalised waveforms
FOLDERS = {"base": False, "pre-norm": False, "hubert-ctc": False, "hubert-ctc-pre-norm": True, "wav2vec 2.0": False}
PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
from aves_convert.hugging_face.folder import open_folder
from aves_verify.backends.transformers_model import TransformersBackend
from aves_verify.loading.folder_as_documented import folder_differences

place, folders = Path(sys.argv[1]), json.loads(sys.argv[2])
told = {}
for name, normalize in folders.items():
    backend = TransformersBackend(open_folder(place / name))
    outputs = backend.run(np.load(place / "waveform.npy"), layers=True)
    np.savez(place / f"{name}.npz", **outputs)
    told[name] = {
        "version": backend.version,
        "settings": backend.settings,
        "other way": backend.other_way,
        "problems": [each.text for each in folder_differences(backend, normalize=normalize)],
    }
print(json.dumps(told))
"""
TOLD = {"version": "4.40.0", "settings": {"attention": "eager"}, "other way": "", "problems": []}


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("oldest")
    return make_environment(
        folder / "environment",
        *("torch==2.4.1", "torchaudio==2.4.1", "numpy<2", "transformers==4.40.0"),
        python=interpreter("3.11"),
        extras=("verify",),
        torch_cache=folder / "cache",
    )


def test_the_oldest_transformers_loads_every_kind_of_folder_without_a_word(oldest: Path, tmp_path: Path) -> None:
    """It computes attention in one way, which it does not call by a name; there is no other to compare with."""
    waveform = (0.1 * np.random.default_rng(0).standard_normal((1, 4000))).astype(np.float32)
    np.save(tmp_path / "waveform.npy", waveform)
    for name in FOLDERS:
        made = tmp_path / f"original of {name}"
        made.mkdir()
        fairseq_to_transformers(source(name, made), tmp_path / name)
    printed = run_program(oldest, PROGRAM, tmp_path, json.dumps(FOLDERS))
    assert json.loads(printed.splitlines()[-1]) == dict.fromkeys(FOLDERS, TOLD)
    for name in FOLDERS:
        here = TransformersBackend(open_folder(tmp_path / name)).run(waveform, layers=True)
        there = np.load(tmp_path / f"{name}.npz")
        assert set(there) == set(here)
        for layer, values in here.items():
            np.testing.assert_allclose(there[layer], values, rtol=0, atol=2e-5, err_msg=f"{name}, {layer}")
