"""What tensors tell is told right; what they do not tell is never taken from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.stand_ins import TINY, VARIANTS

from aves_artifacts.base.errors import InputError
from aves_artifacts.encoder import encoder_shapes
from aves_convert.checkpoint.architecture import architecture
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.config_entries import DEFAULTS
from aves_convert.checkpoint.conv_feature_layers import parse_conv_feature_layers
from aves_convert.checkpoint.pretrained import PUBLISHED, completed
from aves_convert.checkpoint.shapes import FIRST, Told, told_by

# hubert_base_librispeech.yaml, hubert_large_librivox.yaml and hubert_xlarge_librivox.yaml of fairseq
YAML: dict[str, tuple[dict[str, Any], bool]] = {
    "base": (
        {
            "extractor_mode": "default",
            "encoder_layerdrop": 0.05,
            "dropout_input": 0.1,
            "dropout": 0.1,
            "attention_dropout": 0.1,
            "activation_dropout": 0.0,
        },
        False,
    ),
    "large": (
        {
            "encoder_layers": 24,
            "encoder_embed_dim": 1024,
            "encoder_ffn_embed_dim": 4096,
            "encoder_attention_heads": 16,
            "extractor_mode": "layer_norm",
            "encoder_layerdrop": 0.0,
            "dropout_input": 0.0,
            "dropout": 0.0,
            "attention_dropout": 0.0,
            "layer_norm_first": True,
            "activation_dropout": 0.0,
        },
        True,
    ),
}
YAML["xlarge"] = (
    {**YAML["large"][0], "encoder_layers": 48, "encoder_embed_dim": 1280, "encoder_ffn_embed_dim": 5120},
    True,
)


def shapes_of(model: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of a checkpoint with these settings, and 30 labels."""
    described = architecture(Checkpoint(Path("x.pt"), {"_name": "hubert", **DEFAULTS, **model}, {}, {}))
    sizes = encoder_shapes(described.config)
    shapes = {source: sizes[target] for source, target in described.mapping.items()}
    dropped = {name: tuple(size or 30 for size in rule.shape) for name, rule in described.dropped.items()}
    return shapes | dropped


def alone(told: Told) -> Checkpoint:
    return Checkpoint(Path("x.pt"), {"_name": told.model_class}, {}, {}, told=told)


@pytest.mark.parametrize("name", VARIANTS)
def test_all_that_shapes_tell_of_every_variant(name: str) -> None:
    settings = {**DEFAULTS, **TINY, **VARIANTS[name]}
    told = told_by(shapes_of({**TINY, **VARIANTS[name]}), "x.pt")
    for entry, value in told.entries.items():
        if entry in ("untie_final_proj", "latent_dim"):  # of one label set it makes no difference; 0 is final_dim
            continue
        assert value == settings[entry], entry
    convolutions = parse_conv_feature_layers(settings["conv_feature_layers"])
    assert told.convolutions == tuple((channels, kernel) for channels, kernel, _stride in convolutions)
    assert told.model_class == VARIANTS[name].get("_name", "hubert")
    assert (told.prefix, told.ambiguous) == ("", False)


def test_what_no_shape_tells_is_not_among_it() -> None:
    shapes = shapes_of(TINY)
    for entries in ({"encoder_attention_heads": 2}, {"layer_norm_first": True}):
        assert shapes_of({**TINY, **entries}) == shapes
    strides = "[(16,10,1)] + [(16,3,1)] * 4 + [(16,2,1)] * 2"
    assert shapes_of({**TINY, "conv_feature_layers": strides}) == shapes
    told = told_by(shapes, "x.pt").entries.keys()
    assert not told & {"encoder_attention_heads", "layer_norm_first", "conv_feature_layers", "normalize"}


@pytest.mark.parametrize("name", YAML)
def test_the_published_sizes_are_fairseqs(name: str) -> None:
    settings, normalize = YAML[name]
    checkpoint = completed(alone(told_by(shapes_of(settings), "x.pt")), None, name)
    arch = architecture(checkpoint)
    assert arch.config == architecture(Checkpoint(Path("y.pt"), {"_name": "hubert", **settings}, {}, {})).config
    assert (arch.normalize, arch.sample_rate, checkpoint.geometry) == (normalize, 16_000, name)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("other", YAML)
def test_another_size_is_a_contradiction(name: str, other: str) -> None:
    if name == other:
        return
    checkpoint = alone(told_by(shapes_of(YAML[other][0]), "x.pt"))
    with pytest.raises(InputError) as caught:
        completed(checkpoint, None, name)
    layers = {**DEFAULTS, **YAML[name][0]}["encoder_layers"], {**DEFAULTS, **YAML[other][0]}["encoder_layers"]
    told = f"the tensors say encoder_layers={layers[1]}, the geometry {name} says {layers[0]}"
    assert any(told in problem for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({"encoder_layers": 11}, "the tensors say encoder_layers=11, the geometry base says 12"),
        ({"encoder_embed_dim": 816}, "the tensors say encoder_embed_dim=816, the geometry base says 768"),
        ({"encoder_ffn_embed_dim": 3000}, "the tensors say encoder_ffn_embed_dim=3000, the geometry base says 3072"),
        ({"extractor_mode": "layer_norm"}, "extractor_mode='layer_norm', the geometry base says 'default'"),
        ({"conv_pos": 95}, "the tensors say conv_pos=95, the geometry base says 128"),
        ({"conv_pos_groups": 8}, "the tensors say conv_pos_groups=8, the geometry base says 16"),
        ({"conv_feature_layers": "[(512,10,5)] + [(512,3,2)] * 6"}, "convolutions (channels, kernel) of [(512, 10), "),
    ],
)
def test_every_contradiction_names_both(entries: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match="other weights than those of the geometry base") as caught:
        completed(alone(told_by(shapes_of(entries), "x.pt")), None, "base")
    assert len(caught.value.problems) == 1
    assert problem in str(caught.value)


def test_the_large_birdaves_is_no_published_large() -> None:
    """It has the large transformer behind the base model's extractor: its heads and norms must be told by a file."""
    large = {name: YAML["large"][0][name] for name in YAML["large"][0] if name.startswith("encoder_")}
    with pytest.raises(InputError, match="the tensors say extractor_mode='default', the geometry large says"):
        completed(alone(told_by(shapes_of(large), "x.pt")), None, "large")


def test_a_bias_of_the_convolutions_is_the_tensors_word() -> None:
    """HuBERT's published sizes have none, wav2vec 2.0 of the same sizes has."""
    told = told_by(shapes_of({**YAML["large"][0], "conv_bias": True}), "x.pt")
    assert architecture(completed(alone(told), None, "large")).config.extractor_conv_bias
    pretrained = Checkpoint(Path("y.pt"), {"_name": "hubert", **YAML["large"][0]}, {"normalize": True}, {})
    with pytest.raises(InputError, match=r"the tensors say conv_bias=True, y\.pt says False"):
        completed(alone(told), pretrained, None)


def test_a_geometry_that_is_none() -> None:
    with pytest.raises(InputError, match="the geometry 'huge': expected one of base, large, xlarge"):
        completed(alone(told_by(shapes_of({}), "x.pt")), None, "huge")


def test_without_the_parts_of_pretraining_the_class_is_the_pretrained_ones() -> None:
    """HuBERT and wav2vec 2.0 are the same network then."""
    parts = ("final_proj", "label_embs_concat", "mask_emb")
    told = told_by(without(*parts), "x.pt")
    assert (told.model_class, told.ambiguous) == ("hubert", True)
    for name in ("hubert", "wav2vec2", "contentvec"):
        settings = Checkpoint(Path("y.pt"), {"_name": name, **TINY}, {}, {})
        wanted = "wav2vec2" if name == "wav2vec2" else "hubert"
        assert completed(alone(told), settings, None).model_config["_name"] == wanted
    settings = Checkpoint(Path("y.pt"), {"_name": "wav2vec2", **TINY}, {}, {})
    with pytest.raises(InputError, match=r"x\.pt: weights of a hubert model, y\.pt is of a wav2vec2"):
        completed(alone(told_by(shapes_of(TINY), "x.pt")), settings, None)


def test_nothing_is_taken_from_a_pretrained_file_that_lacks_settings_itself() -> None:
    told = told_by(shapes_of({}), "x.pt")
    with pytest.raises(InputError, match=r"y\.pt: weights without their settings"):
        completed(alone(told), Checkpoint(Path("y.pt"), {"_name": "hubert"}, {}, {}, told=told), None)


def without(*parts: str) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in shapes_of(TINY).items() if not name.startswith(parts)}


@pytest.mark.parametrize(
    ("shapes", "problem"),
    [
        ({}, "a state dict of another model"),
        (
            {"a." + FIRST: (1, 1, 1), "b." + FIRST: (1, 1, 1)},
            "weights of 2 encoders, under 'a.', 'b.'; save one of them",
        ),
        ({"\x1b[2J" + FIRST: (1,), "x" * 500 + FIRST: (1,)}, r"'\x1b[2J'"),
        (without("encoder.layers.0."), "the tensors do not tell encoder_layers"),
        (without("encoder.layers."), "the tensors do not tell encoder_ffn_embed_dim"),
        (without("encoder.pos_conv"), "the tensors do not tell conv_pos"),
        (without("encoder.layer_norm"), "the tensors do not tell encoder_embed_dim"),
        (without("feature_extractor.conv_layers.0.2"), "the tensors do not tell extractor_mode"),
        ({**without(), FIRST: (16, 1)}, "its convolutions are none"),
        (
            {**without("encoder.pos_conv.0.weight"), "encoder.pos_conv.0.weight": (24, 6, 16)},
            "its weight norm was folded into encoder.pos_conv.0.weight",
        ),
        ({**without(), "encoder.pos_conv.0.weight_v": (24, 0, 16)}, "the tensors do not tell conv_pos"),
        ({**without(), "encoder.pos_conv.0.weight_v": (24, 5, 16)}, "the tensors do not tell conv_pos_groups"),
        ({**without(), "encoder.layers.0.fc1.weight": ()}, "the tensors do not tell encoder_ffn_embed_dim"),
        ({**without(), "encoder.layer_norm.weight": (0,)}, "the tensors do not tell encoder_embed_dim"),
    ],
)
def test_what_is_no_whole_encoder(shapes: dict[str, tuple[int, ...]], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        told_by(shapes, "x.pt")
    assert problem in str(caught.value)
    assert all(line.isprintable() and len(line) < 600 for line in caught.value.problems)


@pytest.mark.parametrize(
    "shapes",
    [
        {"label_embs_concat": ()},
        {"label_embs_concat": (30, 0)},
        {"final_proj.weight": (0, 24)},
        {"final_proj.weight": (3,)},
        {"quantizer.vars": (1, 6, 0), "project_q.weight": (8, 0)},
        {"quantizer.vars": (1, 6, 9), "project_q.weight": (8, 3)},
        {"quantizer.vars": (6,), "project_q.weight": ()},
        {"quantizer.vars": (1, 6, 4), "project_q.weight": (8, 8), "quantizer.weight_proj.0.0.weight": (5, 0)},
    ],
)
def test_odd_parts_of_pretraining_are_no_fault_of_ours(shapes: dict[str, tuple[int, ...]]) -> None:
    told_by({**without(), **shapes}, "x.pt")
