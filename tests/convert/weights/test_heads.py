"""Heads: what a checkpoint has on its encoder, in a file of its own, and back."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tests.support.heads import PRE_NORM, SMALL, TWO, UNTIED, centroids, checkpoint, heads

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.outputs import Output
from aves_artifacts.encoder import EncoderConfig
from aves_convert.checkpoint.architecture import architecture
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.convert import (
    fairseq_to_heads,
    fairseq_to_onnx,
    fairseq_to_torchaudio,
    torchaudio_to_fairseq,
)
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import checkpoint_contents
from aves_convert.graph.options import OnnxOptions
from aves_convert.torch_files.writer import write_torch_file
from aves_convert.weights.heads import Heads, heads_of, read_heads, write_heads


def config_of(path: Path) -> EncoderConfig:
    return architecture(read_checkpoint(path)).config


def test_they_are_the_checkpoints_own_tensors(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt")
    found, tensors = heads(path), read_checkpoint(path).tensors
    assert list(found.tensors) == ["final_proj.weight", "final_proj.bias", "label_embs_concat"]
    for name, tensor in found.tensors.items():
        np.testing.assert_array_equal(tensor, tensors[name].read())
    assert (found.projections, found.label_sets) == (1, ("km",))


def test_each_set_of_labels_has_its_part_of_the_rows(tmp_path: Path) -> None:
    found = heads(checkpoint(tmp_path / "x.pt", UNTIED, TWO))
    weight, bias = found.tensors["final_proj.weight"], found.tensors["final_proj.bias"]
    assert (found.projections, found.projected, found.label_sets) == (2, len(weight) // 2, TWO)
    for i, part in enumerate(np.split(weight, 2)):
        np.testing.assert_array_equal(found.projection(i)[0], part)
        np.testing.assert_array_equal(found.projection(i)[1], np.split(bias, 2)[i])
    assert found.projections_of(1) == (Output("projection", 1, 0), Output("projection", 1, 1))


def test_sets_that_share_a_projection_have_no_name_to_give_it(tmp_path: Path) -> None:
    found = heads(checkpoint(tmp_path / "x.pt", SMALL, TWO))
    assert (found.projections, found.label_sets) == (1, ())
    assert found.projections_of(None) == (Output("projection"),)


def test_labels_without_usable_names_are_numbered(tmp_path: Path) -> None:
    read = read_checkpoint(checkpoint(tmp_path / "x.pt", UNTIED, TWO))
    for labels in (["km", "km"], ["km", 3]):
        twin = dataclasses.replace(read, task_config={**read.task_config, "labels": labels})
        assert heads_of(twin, architecture(read)).label_sets == ("set 0", "set 1")


def test_a_file_of_them_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt", PRE_NORM, TWO)
    places = {0: centroids(tmp_path / "a.npy", 5), 2: centroids(tmp_path / "b.npy", 9)}
    written = fairseq_to_heads(Source(path, centroids=dict(places)), Target(tmp_path, "x"))
    assert written.name == "x.heads.safetensors"
    found = read_heads(written, config_of(path))
    assert found.label_sets == TWO
    assert {layer: len(values) for layer, values in found.centroids.items()} == {0: 5, 2: 9}
    for name, tensor in heads(path).tensors.items():
        np.testing.assert_array_equal(found.tensors[name], tensor)


def test_half_precision_is_widened_exactly_and_goes_back(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt", dtype=np.float16)
    target = Target(tmp_path, "x")
    weights, config = fairseq_to_torchaudio(Source(path), target)
    stored = fairseq_to_heads(Source(path), target)
    assert {tensor.dtype for tensor in load_file(stored).values()} == {np.dtype(np.float32)}
    torchaudio_to_fairseq(weights, config, path, tmp_path / "back.pt", heads=stored)
    back, original = (read_checkpoint(each).tensors for each in (tmp_path / "back.pt", path))
    assert back.keys() == original.keys()
    for name, tensor in original.items():
        assert (back[name].dtype, back[name].read().tobytes()) == (tensor.dtype, tensor.read().tobytes())


def test_other_heads_take_the_place_of_a_checkpoints(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt")
    weights, config = fairseq_to_torchaudio(Source(path), Target(tmp_path, "x"))
    trained = Heads({"final_proj.bias": np.full_like(heads(path).tensors["final_proj.bias"], 3)})
    whole = dataclasses.replace(heads(path), tensors={**heads(path).tensors, **trained.tensors})
    write_heads(whole, tmp_path / "trained.heads.safetensors")
    torchaudio_to_fairseq(weights, config, path, tmp_path / "y.pt", heads=tmp_path / "trained.heads.safetensors")
    assert set(read_checkpoint(tmp_path / "y.pt").tensors["final_proj.bias"].read()) == {3}


def test_heads_of_another_checkpoint_do_not_go_back(tmp_path: Path) -> None:
    path, other = checkpoint(tmp_path / "x.pt"), checkpoint(tmp_path / "y.pt", UNTIED, TWO)
    weights, config = fairseq_to_torchaudio(Source(path), Target(tmp_path, "x"))
    stored = fairseq_to_heads(Source(other), Target(tmp_path, "y"))
    with pytest.raises(InputError, match=r"not the heads of that checkpoint: final_proj\.weight has shape"):
        torchaudio_to_fairseq(weights, config, path, tmp_path / "z.pt", heads=stored)
    assert not (tmp_path / "z.pt").exists()


def test_projections_do_not_go_back_under_other_labels(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt", UNTIED, TWO)
    weights, config = fairseq_to_torchaudio(Source(path), Target(tmp_path, "x"))
    write_heads(dataclasses.replace(heads(path), label_sets=TWO[::-1]), tmp_path / "x.heads.safetensors")
    with pytest.raises(InputError, match=r"label sets \['phn', 'km'\]"):
        torchaudio_to_fairseq(weights, config, path, tmp_path / "z.pt", heads=tmp_path / "x.heads.safetensors")


@pytest.mark.parametrize(
    ("tensors", "metadata", "told"),
    [
        ({"something": np.zeros((2, 24), np.float32)}, {}, "has 'something'"),
        ({"centroids.layer.3": np.zeros((2, 24), np.float32)}, {}, "has 'centroids.layer.3'"),
        ({"centroids.layer.0": np.zeros((2, 23), np.float32)}, {}, r"float32 \[2, 23\], expected float32 \[n, 24\]"),
        ({"centroids.layer.0": np.zeros((2, 24), np.float64)}, {}, "is float64"),
        ({"final_proj.weight": np.zeros((2, 24), np.float32)}, {}, "only one of"),
        ({"centroids.embeddings": np.zeros((2, 24), np.float32)}, {}, "has 'centroids.embeddings'"),
        ({"centroids.layer.0": np.zeros((0, 24), np.float32)}, {}, r"float32 \[0, 24\]"),
        ({"centroids.layer.0": np.full((2, 24), np.nan, np.float32)}, {}, "NaN or infinite"),
        ({"label_embs_concat": np.zeros((2,), np.int32)}, {}, r"int32 \[2\], expected float32 \[n, any\]"),
        (
            {"final_proj.weight": np.zeros((3, 24), np.float32), "final_proj.bias": np.zeros(3, np.float32)},
            {"label_sets": '["a", "b"]'},
            "3 rows for 2 label sets",
        ),
        ({}, {"label_sets": "5"}, "says label_sets"),
        ({}, {"label_sets": "["}, "cannot read"),
    ],
)
def test_a_file_of_something_else_is_told(
    tensors: dict[str, np.ndarray], metadata: dict[str, str], told: str, tmp_path: Path
) -> None:
    save_file(tensors, tmp_path / "x.heads.safetensors", metadata)
    config = config_of(checkpoint(tmp_path / "x.pt"))
    with pytest.raises(InputError, match=told):
        read_heads(tmp_path / "x.heads.safetensors", config)


def test_no_file_at_all_is_told(tmp_path: Path) -> None:
    config = config_of(checkpoint(tmp_path / "x.pt"))
    with pytest.raises(InputError, match=r"cannot read the heads"):
        read_heads(tmp_path / "x.pt", config)
    with pytest.raises(InputError, match=r"cannot read the heads"):
        read_heads(tmp_path / "absent", config)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"cannot read the heads .*it is a pipe or a device"):
        read_heads(tmp_path / "pipe", config)


def test_what_no_output_needs_may_be_damaged(tmp_path: Path) -> None:
    read = read_checkpoint(checkpoint(tmp_path / "x.pt")).tensors
    model = {name: torch.from_numpy(tensor.read().copy()) for name, tensor in read.items()}
    model["final_proj.bias"][0] = torch.nan
    contents = checkpoint_contents(SMALL, seed="heads")
    write_torch_file({**contents, "model": {name: tensor.numpy() for name, tensor in model.items()}}, tmp_path / "y.pt")
    source, projected = Source(tmp_path / "y.pt"), OnnxOptions(outputs=("projection",))
    assert fairseq_to_onnx(source, tmp_path / "y.onnx").is_file()
    with pytest.raises(InputError, match=r"final_proj\.bias holds values that are NaN"):
        fairseq_to_onnx(source, tmp_path / "z.onnx", projected)
    assert not (tmp_path / "z.onnx").exists()


def test_nan_is_damage_unless_it_is_allowed(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt")
    content, bias = path.read_bytes(), heads(path).tensors["final_proj.bias"].tobytes()
    assert content.count(bias) == 1
    read = read_checkpoint(path)
    tensor = read.tensors["final_proj.bias"]
    damaged = tensor.float32().copy()
    damaged[0] = np.nan

    class Damaged:
        def float32(self) -> np.ndarray:
            return damaged

    twin = dataclasses.replace(read, tensors={**read.tensors, "final_proj.bias": Damaged()})  # type: ignore[dict-item]
    with pytest.raises(InputError, match=r"final_proj\.bias holds values that are NaN"):
        heads_of(twin, architecture(read))
    assert np.isnan(heads_of(twin, architecture(read), allow_non_finite=True).tensors["final_proj.bias"][0])
