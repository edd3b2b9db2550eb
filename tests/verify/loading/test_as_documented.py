"""A TorchAudio file that torch reads otherwise than we do, or not at all, is no port."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.tiny_encoders import TINY, weights

from aves_artifacts.base.errors import InputError
from aves_convert.weights.state_dict import read_state_dict
from aves_verify.loading.as_documented import loading_problems


@pytest.fixture
def path(tmp_path: Path) -> Path:
    torch.save(weights(TINY), tmp_path / "x.pt")
    return tmp_path / "x.pt"


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """The archive with records changed, or left out where ``change`` gives None."""
    out = path.with_name("changed.pt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return out


def problems(path: Path) -> list[str]:
    return list(loading_problems(path, read_state_dict(path, TINY)))


def test_what_torch_wrote_loads(path: Path) -> None:
    assert problems(path) == []


def test_an_older_layout_and_half_precision_load(tmp_path: Path) -> None:
    torch.save(weights(TINY), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert problems(tmp_path / "old.pt") == []
    torch.save({name: tensor.half() for name, tensor in weights(TINY).items()}, tmp_path / "half.pt")
    assert problems(tmp_path / "half.pt") == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch loads it here; that it was saved on a GPU is told then")
def test_a_file_that_was_saved_on_a_gpu_is_told(path: Path) -> None:
    def on_gpu(name: str, content: bytes) -> bytes:
        return content.replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:0") if name.endswith("data.pkl") else content

    (problem,) = problems(rewritten(path, on_gpu))
    assert "torch.load(weights_only=True) does not load" in problem


def test_a_file_without_its_version_is_told(path: Path) -> None:
    (problem,) = problems(rewritten(path, lambda name, content: None if name.endswith("/version") else content))
    assert "does not load" in problem


def test_other_tensors_than_we_read_are_told(path: Path) -> None:
    read = read_state_dict(path, TINY)
    name = next(iter(read))
    read[name] = read[name] + np.float32(1)
    (problem,) = loading_problems(path, read)
    assert problem == f"torchaudio: torch.load gives other tensors than {path} holds: {name}"


def test_state_that_torch_applies_to_a_tensor_is_refused(tmp_path: Path) -> None:
    state = weights(TINY)
    name = next(iter(state))
    state[name] = state[name].clone()
    state[name].other = torch.zeros(1)
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(InputError, match="a tensor with state, which torch applies to it"):
        read_state_dict(tmp_path / "x.pt", TINY)


def test_a_parameter_with_state_is_refused(tmp_path: Path) -> None:
    state = weights(TINY)
    name = next(iter(state))
    parameter = torch.nn.Parameter(state[name])
    parameter.other = torch.zeros(1)
    torch.save({**state, name: parameter}, tmp_path / "x.pt")
    with pytest.raises(InputError, match="a tensor with state"):
        read_state_dict(tmp_path / "x.pt", TINY)
