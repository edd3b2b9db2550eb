"""torchaudio beside the torch it was built for, beside a newer one, and beside one without CUDA: each for real."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.support.environments import make_environment, run_program

from aves_convert.conversion.stand_in import write_stand_in

PROGRAM = """
import sys
import numpy as np, torch
try:
    import torchaudio
    print("IMPORTS")
except Exception as error:
    print("FAILS", *str(error).splitlines()[:1])
    for name in [n for n in sys.modules if n.split(".")[0] == "torchaudio"]:
        del sys.modules[name]
from pathlib import Path
from aves_convert.conversion.convert import fairseq_to_torchaudio
from aves_convert.conversion.request import Source, Target
from aves_convert.weights.state_dict import read_state_dict
from aves_convert.weights.model import load_model
from aves_artifacts.encoder import EncoderConfig
weights, config = fairseq_to_torchaudio(Source(Path(sys.argv[1])), Target(Path(sys.argv[2]), "x", force=True))
encoder = EncoderConfig.read(config)
model = load_model(encoder, read_state_dict(weights, encoder))
state = torch.load(weights, weights_only=True)
model.load_state_dict(state)
with torch.inference_mode():
    output = model(torch.sin(torch.arange(8000.0))[None])[0]
np.save(sys.argv[3], output.numpy())
"""


def convert_in(python: Path, folder: Path) -> tuple[str, bytes, np.ndarray]:
    """How torchaudio's import ends there, the bytes of the weights, and the embeddings."""
    folder.mkdir()
    checkpoint = folder / "x.pt"
    write_stand_in("bio", checkpoint, geometry="tiny")
    printed = run_program(python, PROGRAM, checkpoint, folder / "out", folder / "embeddings.npy")
    return printed, (folder / "out" / "x.torchaudio.pt").read_bytes(), np.load(folder / "embeddings.npy")


def cpu_only_options() -> tuple[str, ...]:
    """Where a torch without CUDA comes from: the wheels that pip is pointed to, else PyTorch's own index."""
    wheels = os.environ.get("PIP_FIND_LINKS")
    return ("--find-links", wheels) if wheels else ("--torch-backend", "cpu")


ENVIRONMENTS = {
    "built for each other": ("IMPORTS", ("torch==2.8.0", "torchaudio==2.8.0"), False),
    "a newer torch": ("FAILS Detected that PyTorch and TorchAudio", ("torch==2.15.0", "torchaudio==2.11.0"), False),
    "a torch without CUDA": ("FAILS", ("torch==2.13.0+cpu", "torchaudio==2.11.0"), True),
}


@pytest.mark.environments
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torchaudio has one build only, without CUDA")
@pytest.mark.parametrize("situation", ENVIRONMENTS)
def test_conversion_works_and_gives_the_same(situation: str, tmp_path: Path) -> None:
    expected, requirements, cpu_only = ENVIRONMENTS[situation]
    if cpu_only and sys.version_info[:2] != (3, 11) and os.environ.get("PIP_FIND_LINKS"):
        pytest.skip("the CPU-only wheel that this machine offers is for Python 3.11")
    _, weights, embeddings = convert_in(Path(sys.executable), tmp_path / "here")
    python = make_environment(tmp_path / "environment", *requirements, options=cpu_only_options() if cpu_only else ())
    outcome, other_weights, other_embeddings = convert_in(python, tmp_path / "there")
    assert outcome.startswith(expected), outcome
    assert other_weights == weights
    np.testing.assert_allclose(other_embeddings, embeddings, atol=5e-6)
