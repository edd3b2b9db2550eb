import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.stand_in import GEOMETRIES, _gaussian, checkpoint_contents, write_stand_in
from aves_convert.torch_files.writer import write_torch_file
from aves_convert.weights.model import load_model
from aves_convert.weights.to_torchaudio import to_torchaudio

# Recorded once: the same bytes on every platform, Python, numpy and torch.
SHA256_TINY_BIO = "db6d7360935d56c86cba428f5df9d0a45ae761cb225b3fe21406c41cb2af4679"


def test_the_same_bytes_everywhere(tmp_path: Path) -> None:
    write_stand_in("bio", tmp_path / "x.pt", geometry="tiny")
    assert hashlib.sha256((tmp_path / "x.pt").read_bytes()).hexdigest() == SHA256_TINY_BIO


def test_names_and_seeds_give_other_weights(tmp_path: Path) -> None:
    digests = set()
    for name, seed in (("core", 0), ("bio", 0), ("nonbio", 0), ("all", 0), ("bio", 1)):
        write_stand_in(name, tmp_path / "x.pt", geometry="tiny", seed=seed)
        digests.add(hashlib.sha256((tmp_path / "x.pt").read_bytes()).hexdigest())
    assert len(digests) == 5


def test_the_noise_is_nearly_normal() -> None:
    noise = _gaussian(200_000, "seed")
    assert abs(float(noise.mean())) < 0.01
    assert abs(float(noise.std()) - 1) < 0.01
    assert 0.65 < float((np.abs(noise) < 1).mean()) < 0.70  # 0.683 for a normal distribution
    assert not np.array_equal(noise, _gaussian(200_000, "other"))


def outputs(name: str, folder: Path) -> torch.Tensor:
    path = folder / f"{name}.pt"
    write_stand_in(name, path, geometry="tiny")
    converted = to_torchaudio(read_checkpoint(path))
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        return load_model(converted.config, converted.state_dict)(torch.randn(1, 16_000, generator=generator))[0]


def test_the_layers_neither_explode_nor_fall_silent(tmp_path: Path) -> None:
    embeddings = outputs("bio", tmp_path)
    assert 0.3 < float(embeddings.std()) < 3
    assert float(embeddings.std(dim=1).median()) > 0.05  # frames differ from each other


def test_most_outputs_of_all_lie_near_zero(tmp_path: Path) -> None:
    assert float((outputs("all", tmp_path).abs() < 0.05).float().mean()) > 0.5
    assert float((outputs("bio", tmp_path).abs() < 0.05).float().mean()) < 0.1


@pytest.mark.parametrize("geometry", ["base", "large"])
def test_geometries_are_the_published_ones(geometry: str) -> None:
    from aves_artifacts.configurations.catalog import catalog
    from aves_convert.checkpoint.config_entries import DEFAULTS

    entries = {**DEFAULTS, **GEOMETRIES[geometry]}
    sizes = {"base": (12, 768, 3072, 12), "large": (24, 1024, 4096, 16)}
    names = ("encoder_layers", "encoder_embed_dim", "encoder_ffn_embed_dim", "encoder_attention_heads")
    assert tuple(entries[name] for name in names) == sizes[geometry]
    assert {configuration.dimension for configuration in catalog().values()} == {768, 1024}


def test_rounding_is_not_amplified(tmp_path: Path) -> None:
    """A chaotic encoder would turn float32 rounding into differences that no tolerance could tell from a fault."""
    path = tmp_path / "x.pt"
    contents = checkpoint_contents({**GEOMETRIES["tiny"], "encoder_layers": 12}, seed="deep")
    write_torch_file(contents, path)
    converted = to_torchaudio(read_checkpoint(path))
    model = load_model(converted.config, converted.state_dict)
    waveform = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        single = model(waveform)[0]
        double = model.double()(waveform.double())[0]
    assert float((single - double).abs().max()) < 2e-5
