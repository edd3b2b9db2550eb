"""What the names and shapes of tensors tell of an encoder's settings, for files that have nothing else.

Shapes tell sizes, and names which parts there are. They do not tell the strides of the convolutions, the heads of the
attention, whether norms come before or after, nor what is done to the waveform: that is never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aves_artifacts.base.errors import raise_if_any
from aves_artifacts.base.messages import listed, quoted
from aves_artifacts.encoder import MOST_CONVOLUTIONS
from aves_convert.checkpoint.hubert_keys import ENCODER_PREFIX, HEAD_PREFIX

Shapes = Mapping[str, tuple[int, ...]]
FIRST = "feature_extractor.conv_layers.0.0.weight"  # every encoder has this one, and no other part of a model
_POSITION = "encoder.pos_conv.0"
NOT_TOLD = (
    "the strides of its convolutions, the heads of its attention, whether its norms come before or after, and whether "
    "the waveform is normalised"
)


@dataclass(frozen=True)
class Told:
    """What the tensors of a file without settings tell.

    ``entries`` have the names of fairseq's config; ``convolutions`` are (channels, kernel). ``prefix`` is what stands
    before the names that fairseq gives. ``ambiguous``: no part is there that only HuBERT or only wav2vec 2.0 has.
    ``where`` is for messages.
    """

    where: str
    model_class: str
    prefix: str
    convolutions: tuple[tuple[int, int], ...]
    entries: Mapping[str, Any]
    ambiguous: bool
    label_sets: int = 1

    def __str__(self) -> str:
        entries = self.entries
        norm = {"default": "a group norm", "layer_norm": "layer norms"}[entries["extractor_mode"]]
        return (
            f"{len(self.convolutions)} convolutions with {norm}, {entries['encoder_layers']} layers of "
            f"{entries['encoder_embed_dim']} dimensions, {entries['encoder_ffn_embed_dim']} in the feed-forward part, "
            f"a positional convolution of {entries['conv_pos']} frames in {entries['conv_pos_groups']} groups"
        )


def prefix_of(names: Iterable[str], where: str) -> str:
    """Find what stands before fairseq's names of the encoder, such as ``model.`` of a Lightning module.

    Raises InputError where there is no encoder, or more than one.
    """
    found = sorted({name.removesuffix(FIRST) for name in names if name.endswith(FIRST)})
    problems = []
    if not found:
        problems.append(f"a state dict of another model: it has no {FIRST}, which every HuBERT and wav2vec 2.0 has")
    if len(found) > 1:
        problems.append(
            f"weights of {len(found)} encoders, under {listed([quoted(prefix, 60) for prefix in found], 5)}; save one "
            "of them alone"
        )
    raise_if_any(problems, where)
    return found[0]


def told_by(shapes: Shapes, where: str) -> Told:
    """Derive what the tensors tell; ``shapes`` have the names of the file. Raises InputError for what is no encoder."""
    prefix = prefix_of(shapes, where)
    inside = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    convolutions = _convolutions(inside)
    entries = {**_extractor(inside), **_transformer(inside)}
    missing = [f"the tensors do not tell {name}" for name, value in entries.items() if value is None]
    missing += [] if convolutions else ["its convolutions are none"]
    if entries["conv_pos"] is None and f"{_POSITION}.weight" in inside:
        missing.append(f"its weight norm was folded into {_POSITION}.weight; save it with weight_g and weight_v")
    raise_if_any(missing, f"{where}: not the weights of a whole HuBERT or wav2vec 2.0")
    model = _model(inside)
    pretraining, label_sets = _pretraining(inside, model)
    ambiguous = model == "hubert" and "label_embs_concat" not in inside
    outer = prefix.removesuffix(ENCODER_PREFIX)
    if outer != prefix and f"{outer}{HEAD_PREFIX}proj.weight" in shapes:
        fine_tuned = "wav2vec_ctc" if model == "wav2vec2" else "hubert_ctc"
        return Told(where, fine_tuned, outer, convolutions, entries, ambiguous)
    return Told(where, model, prefix, convolutions, {**entries, **pretraining}, ambiguous, label_sets)


def _convolutions(shapes: Shapes) -> tuple[tuple[int, int], ...]:
    """Channels and kernel of each convolution; none where one has no such shape."""
    found: list[tuple[int, int]] = []
    while len(found) < MOST_CONVOLUTIONS:
        shape = shapes.get(f"feature_extractor.conv_layers.{len(found)}.0.weight")
        if shape is None:
            break
        if len(shape) != 3:
            return ()
        found.append((shape[0], shape[2]))
    return tuple(found)


def _extractor(shapes: Shapes) -> dict[str, Any]:
    prefix = "feature_extractor.conv_layers.0"
    modes = {"default": f"{prefix}.2.weight", "layer_norm": f"{prefix}.2.1.weight"}
    return {
        "extractor_mode": next((mode for mode, name in modes.items() if name in shapes), None),
        "conv_bias": f"{prefix}.0.bias" in shapes,
    }


def _transformer(shapes: Shapes) -> dict[str, Any]:
    """The sizes of the transformer; None where a tensor that tells one is missing or has no such shape."""
    embed, forward = _size(shapes, "encoder.layer_norm.weight", 1), _size(shapes, "encoder.layers.0.fc1.weight", 2)
    layers = 0  # those with ordinary norms: ContentVec has others behind them
    while f"encoder.layers.{layers}.self_attn_layer_norm.weight" in shapes:
        layers += 1
    position = shapes.get(f"{_POSITION}.weight_v", ())
    grouped = len(position) == 3 and position[1] > 0 and position[0] % position[1] == 0
    return {
        "encoder_embed_dim": embed,
        "encoder_ffn_embed_dim": forward,
        "encoder_layers": layers or None,
        "conv_pos": position[2] if grouped else None,
        "conv_pos_groups": position[0] // position[1] if grouped else None,
    }


def _model(shapes: Shapes) -> str:
    """fairseq's class. Without the parts of pretraining HuBERT and wav2vec 2.0 are one and the same."""
    if "layer_proj.weight" in shapes or any(".weight_ln." in name for name in shapes):
        return "contentvec"
    return "wav2vec2" if any(name.startswith(("quantizer.", "project_q.")) for name in shapes) else "hubert"


def _pretraining(shapes: Shapes, model: str) -> tuple[dict[str, Any], int]:
    """The entries that size the parts of pretraining, none of which need be there, and the number of label sets."""
    rows = _size(shapes, "final_proj.weight", 2) or 0
    glu = "target_glu.0.weight" in shapes
    if model == "wav2vec2":
        return {"final_dim": rows, "target_glu": glu, **_quantizer(shapes)}, 1
    labels = shapes.get("label_embs_concat", ())
    final = labels[1] if len(labels) == 2 else rows
    sets = rows // final if final and rows % final == 0 else 0
    entries = {"final_dim": final, "target_glu": glu, "untie_final_proj": sets > 1, "quantize_targets": False}
    if model == "contentvec":
        conditioned = [name for name in shapes if name.startswith("encoder.layers.") and ".weight_ln." in name]
        entries["encoder_layers_1"] = len({name.split(".")[2] for name in conditioned})
    return entries, max(sets, 1)


def _quantizer(shapes: Shapes) -> dict[str, Any]:
    """wav2vec 2.0's: ``vars`` is [1, groups * entries, size / groups], ``project_q`` takes what has that size."""
    codebook, projection = shapes.get("quantizer.vars", ()), shapes.get("project_q.weight", ())
    if len(codebook) != 3 or len(projection) != 2 or not codebook[2] or not projection[1] // codebook[2]:
        return {"quantize_targets": False}
    groups = projection[1] // codebook[2]
    entries = {"quantize_targets": True, "latent_dim": projection[1], "latent_groups": groups}
    entries |= {"latent_vars": codebook[1] // groups, "quantizer_depth": 1}
    first = shapes.get("quantizer.weight_proj.0.0.weight", ())
    if len(first) == 2 and first[1]:
        weights = [name for name in shapes if name.startswith("quantizer.weight_proj.") and name.endswith(".weight")]
        entries |= {"quantizer_depth": len(weights), "quantizer_factor": first[0] // first[1]}
    return entries


def _size(shapes: Shapes, name: str, rank: int) -> int | None:
    """The first size of a tensor of that many axes; None where it is none."""
    shape = shapes.get(name, ())
    return shape[0] if len(shape) == rank and shape[0] else None
