"""Names in both directions, held against the classes of transformers themselves."""

from typing import Any

import pytest
from tests.support.hugging_face import import_transformers
from tests.support.tiny_encoders import VARIANTS, tiny

from aves_artifacts.encoder import encoder_shapes
from aves_artifacts.hugging_face.config import MODEL_TYPES, config_entries, folder_config
from aves_artifacts.hugging_face.names import MASK, torchaudio_names, transformers_name

POSITIONS = "encoder.pos_conv_embed.conv"
NEW = [f"{POSITIONS}.parametrizations.weight.original{index}" for index in (0, 1)]
OLD = [f"{POSITIONS}.weight_{letter}" for letter in "gv"]


@pytest.mark.parametrize("prefix", ["", "hubert.", "wav2vec2."])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_tensor_has_one_name_each_way(variant: str, prefix: str) -> None:
    config = tiny(variant)
    names = torchaudio_names(config, prefix)
    assert sorted(names.values()) == sorted(encoder_shapes(config))
    assert {target: name for name, target in names.items()} == {
        name: transformers_name(name, prefix) for name in encoder_shapes(config)
    }
    assert all(name.startswith(prefix) != name.startswith("lm_head.") for name in names if prefix)


@pytest.mark.parametrize("prefix", ["", "hubert."])
def test_weight_norm_is_spelled_as_it_is_there(prefix: str) -> None:
    new, old = ({prefix + name for name in names} for names in (NEW, OLD))
    names = torchaudio_names(tiny("base"), prefix)
    assert new <= set(names)
    older = torchaudio_names(tiny("base"), prefix, there=old)
    assert old <= set(older)
    assert not new & set(older)
    assert sorted(older.values()) == sorted(names.values())
    assert torchaudio_names(tiny("base"), prefix, there=[*new, *old]) == names
    mixed = torchaudio_names(tiny("base"), prefix, there=[prefix + OLD[0], prefix + NEW[1]])
    assert {prefix + OLD[0], prefix + NEW[1]} <= set(mixed)


def test_a_head_stands_outside_of_the_encoder() -> None:
    assert transformers_name("aux.weight", "hubert.") == "lm_head.weight"
    assert torchaudio_names(tiny("ctc-head"), "hubert.")["lm_head.bias"] == "aux.bias"


REAL = ("base", "conv-bias", "pre-norm", "layer-norm", "odd-positions", "one-convolution", "ctc-head")


@pytest.mark.slow
@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("variant", REAL)
def test_the_names_and_shapes_are_those_of_the_real_classes(variant: str, model_type: str) -> None:
    transformers = import_transformers()
    config = folder_config(tiny(variant), model_type)
    for masked in (True, False):
        model = _model(transformers, config, masked=masked)
        found = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        assert found.pop(config.prefix + MASK, None) == ((config.encoder.encoder_embed_dim,) if masked else None)
        shapes = encoder_shapes(config.encoder)
        assert found == {
            name: shapes[target] for name, target in torchaudio_names(config.encoder, config.prefix).items()
        }


def _model(transformers: Any, config: Any, *, masked: bool) -> Any:
    entries = config_entries(config, masked=masked)
    settings = {"hubert": transformers.HubertConfig, "wav2vec2": transformers.Wav2Vec2Config}[config.model_type]
    return getattr(transformers, config.model_class)(settings(**entries))
