"""Mistakes in TorchAudio weights and configs: exchanged, misread, rounded, of another model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tests.support.tensors import arrays
from tests.verify.faults.fault import ENCODERS, REFUSED, WAVEFORM, Fault, Kind, Weights

from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.stand_in import checkpoint_contents
from aves_convert.torch_files.writer import write_torch_file
from aves_convert.weights.to_torchaudio import to_torchaudio

LAYER = "encoder.transformer.layers.{}."
ATTENTION = LAYER + "attention."
POSITIONS = "encoder.transformer.pos_conv_embed.conv."
Change = Callable[[Weights], None]


def in_weights(name: str, *stages: str, encoder: Kind = "post-norm") -> Callable[[Change], Fault]:
    def fault(change: Change) -> Fault:
        def damage(weights: Path, _config: Path) -> None:
            state = torch.load(weights, weights_only=True)
            change(state)
            write_torch_file(arrays(state), weights)

        return Fault(name, stages, "torchaudio", damage, encoder)

    return fault


def in_config(name: str, *stages: str, encoder: Kind = "post-norm", **entries: Any) -> Fault:
    def damage(_weights: Path, config: Path) -> None:
        config.write_text(json.dumps({**json.loads(config.read_text()), **entries}))

    return Fault(name, stages, "torchaudio", damage, encoder)


def exchange(state: Weights, a: str, b: str) -> None:
    """Exchange the tensors of two modules."""
    for name in [name for name in state if name.startswith(a)]:
        other = b + name.removeprefix(a)
        state[name], state[other] = state[other], state[name]


def every(change: Callable[[torch.Tensor], torch.Tensor]) -> Change:
    def apply(state: Weights) -> None:
        for name in state:
            state[name] = change(state[name])

    return apply


def one(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Change:
    def apply(state: Weights) -> None:
        state[name] = change(state[name].clone())

    return apply


def put(tensor: torch.Tensor, where: Any, value: Any) -> torch.Tensor:
    tensor[where] = value
    return tensor


def int8(tensor: torch.Tensor) -> torch.Tensor:
    """One scale for each tensor, as simple quantisers do."""
    scale = tensor.abs().max() / 127
    return (tensor / scale).round() * scale if scale > 0 else tensor


def random_like(tensor: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noise: torch.Tensor = torch.randn(tensor.shape, generator=generator) * tensor.std(unbiased=False)
    return noise


def folded(state: Weights) -> torch.Tensor:
    v = state[POSITIONS + "weight_v"]
    weight: torch.Tensor = state[POSITIONS + "weight_g"] * v / v.norm(dim=(0, 1), keepdim=True)
    return weight


def shifted(state: Weights) -> None:
    exchange(state, LAYER.format(0), LAYER.format(1))
    exchange(state, LAYER.format(1), LAYER.format(2))


def wrong_axis(state: Weights) -> None:
    """g belongs to the kernel's positions; here the norm is taken over the wrong axes when it is folded and split."""
    v = state[POSITIONS + "weight_v"]
    weight = state[POSITIONS + "weight_g"] * v / v.norm(dim=(1, 2), keepdim=True)
    state[POSITIONS + "weight_v"], state[POSITIONS + "weight_g"] = weight, weight.norm(dim=(0, 1), keepdim=True)


def folded_twice(state: Weights) -> None:
    state[POSITIONS + "weight_v"] = folded(state)
    state[POSITIONS + "weight_g"] = state[POSITIONS + "weight_g"] * folded(state).norm(dim=(0, 1), keepdim=True)


def interleaved(state: Weights) -> None:
    """Rows of q, k and v as [dim of head, head] instead of [head, dim of head]."""
    for part in ("q_proj", "k_proj", "v_proj"):
        for kind in ("weight", "bias"):
            name = ATTENTION.format(1) + f"{part}.{kind}"
            tensor = state[name]
            state[name] = tensor.reshape(4, -1, *tensor.shape[1:]).transpose(0, 1).reshape(tensor.shape)


def normalisation_forgotten(weights: Path, _config: Path) -> None:
    """The manifest tells users that the waveform is taken as it is."""
    path = weights.parent / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["encoder"]["normalize"] = False
    path.write_text(json.dumps(manifest))


def sibling(weights: Path, _config: Path) -> None:
    """Another configuration's weights under this name."""
    with tempfile.TemporaryDirectory() as folder:
        write_torch_file(checkpoint_contents(ENCODERS["post-norm"], seed="sibling"), Path(folder) / "x.pt")
        converted = to_torchaudio(read_checkpoint(Path(folder) / "x.pt"))
        write_torch_file(dict(converted.state_dict), weights)


FIRST, MIDDLE = "layer 0", "layer 1"
EVERYWHERE = "conv block 0"

WEIGHT_FAULTS: tuple[Fault, ...] = (
    in_weights("query and key exchanged", MIDDLE)(
        lambda s: exchange(s, ATTENTION.format(1) + "q_proj", ATTENTION.format(1) + "k_proj")
    ),
    in_weights("key and value exchanged", MIDDLE)(
        lambda s: exchange(s, ATTENTION.format(1) + "k_proj", ATTENTION.format(1) + "v_proj")
    ),
    in_weights("value and output projection exchanged", MIDDLE)(
        lambda s: exchange(s, ATTENTION.format(1) + "v_proj", ATTENTION.format(1) + "out_proj")
    ),
    in_weights("two layers exchanged", MIDDLE)(lambda s: exchange(s, LAYER.format(1), LAYER.format(2))),
    in_weights("layers shifted by one", FIRST)(shifted),
    in_weights("first convolutions exchanged", "conv block 1")(
        lambda s: exchange(s, "feature_extractor.conv_layers.1.", "feature_extractor.conv_layers.2.")
    ),
    in_weights("the two layer norms of a layer exchanged", MIDDLE)(
        lambda s: exchange(s, LAYER.format(1) + "layer_norm", LAYER.format(1) + "final_layer_norm")
    ),
    in_weights("bias of the value projection dropped", MIDDLE)(
        one(ATTENTION.format(1) + "v_proj.bias", torch.zeros_like)
    ),
    in_weights("bias of the key projection dropped", MIDDLE)(
        one(ATTENTION.format(1) + "k_proj.bias", torch.zeros_like)
    ),
    in_weights("bias of a feed-forward linear dropped", MIDDLE)(
        one(LAYER.format(1) + "feed_forward.output_dense.bias", torch.zeros_like)
    ),
    in_weights("bias of the positional convolution dropped", "positional convolution")(
        one(POSITIONS + "bias", torch.zeros_like)
    ),
    in_weights("conv bias ignored", EVERYWHERE, encoder="pre-norm")(
        one("feature_extractor.conv_layers.0.conv.bias", torch.zeros_like)
    ),
    in_weights("scale of a layer norm left at one", MIDDLE)(
        one(LAYER.format(1) + "layer_norm.weight", torch.ones_like)
    ),
    in_weights("scale of the group norm left at one", EVERYWHERE)(
        one("feature_extractor.conv_layers.0.layer_norm.weight", torch.ones_like)
    ),
    in_weights("scale of the last layer norm left at one", "last layer norm", encoder="pre-norm")(
        one("encoder.transformer.layer_norm.weight", torch.ones_like)
    ),
    in_weights("weight norm along the wrong axis", "positional convolution")(wrong_axis),
    in_weights("weight_g folded twice", "positional convolution")(folded_twice),
    in_weights("weight_g left at one", "positional convolution")(one(POSITIONS + "weight_g", torch.ones_like)),
    in_weights("positional kernel reversed", "positional convolution")(
        one(POSITIONS + "weight_v", lambda w: w.flip(2))
    ),
    in_weights("convolution kernels reversed", "conv block 2")(
        one("feature_extractor.conv_layers.2.conv.weight", lambda w: w.flip(2))
    ),
    in_weights("heads interleaved wrongly", MIDDLE)(interleaved),
    in_weights("a square matrix transposed", MIDDLE)(one(ATTENTION.format(1) + "out_proj.weight", torch.t)),
    in_weights("sign of a matrix turned", MIDDLE)(one(ATTENTION.format(1) + "v_proj.weight", torch.neg)),
    in_weights("a row zeroed", MIDDLE)(
        one(LAYER.format(1) + "feed_forward.intermediate_dense.weight", lambda w: put(w, 3, 0.0))
    ),
    in_weights("one element off by 1e-3", MIDDLE)(
        one(ATTENTION.format(1) + "v_proj.weight", lambda w: put(w, (2, 5), w[2, 5] + 1e-3))
    ),
    in_weights("one matrix off by 0.1 %", MIDDLE)(one(ATTENTION.format(1) + "q_proj.weight", lambda w: w * 1.001)),
    in_weights("weights in half precision", EVERYWHERE)(every(lambda t: t.half().float())),
    in_weights("weights in bfloat16", EVERYWHERE)(every(lambda t: t.bfloat16().float())),
    in_weights("one matrix in bfloat16", MIDDLE)(
        one(ATTENTION.format(1) + "k_proj.weight", lambda t: t.bfloat16().float())
    ),
    in_weights("weights in int8", EVERYWHERE)(every(int8)),
    in_weights("random weights", EVERYWHERE)(every(random_like)),
    Fault("weights of another configuration", (EVERYWHERE,), "torchaudio", sibling),
    Fault("waveform normalisation forgotten", (WAVEFORM,), "torchaudio", normalisation_forgotten, "pre-norm"),
    in_weights("one layer not loaded", MIDDLE)(
        lambda s: s.update({n: random_like(t) for n, t in s.items() if n.startswith(LAYER.format(1))})
    ),
    in_weights("a weight is NaN", MIDDLE)(
        one(ATTENTION.format(1) + "q_proj.weight", lambda w: put(w, (0, 0), float("nan")))
    ),
    in_weights("a tensor is missing", REFUSED)(lambda s: s.__delitem__(ATTENTION.format(1) + "k_proj.bias")),
    in_config("half the attention heads", FIRST, encoder_num_heads=2),
    in_config(
        "stride off by one",
        "conv block 6",
        extractor_conv_layer_config=[[16, 10, 5], *[[16, 3, 2]] * 4, [16, 2, 2], [16, 2, 1]],
    ),
    in_config("kernel off by one", REFUSED, extractor_conv_layer_config=[[16, 10, 5], *[[16, 3, 2]] * 5, [16, 2, 2]]),
    in_config("positional convolution ungrouped", REFUSED, encoder_pos_conv_groups=1),
    in_config("post-norm run as pre-norm", "positional convolution", FIRST, encoder_layer_norm_first=True),
    in_config(
        "pre-norm run as post-norm", "positional convolution", FIRST, encoder="pre-norm", encoder_layer_norm_first=False
    ),
)
