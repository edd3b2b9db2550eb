import dataclasses
import inspect
import json

import pytest
from tests.support.documents import BASE

from aves_artifacts.base.errors import InputError
from aves_artifacts.encoder import EncoderConfig


def test_the_fields_are_exactly_the_arguments_of_wav2vec2_model() -> None:
    from aves_convert.weights.model import import_torchaudio

    arguments = list(inspect.signature(import_torchaudio().models.wav2vec2_model).parameters)
    assert [field.name for field in dataclasses.fields(EncoderConfig)] == arguments


def test_json_is_what_users_pass_to_wav2vec2_model() -> None:
    entries = json.loads(BASE.to_json())
    assert "aux_num_out" not in entries
    assert entries["extractor_conv_layer_config"][0] == [512, 10, 5]
    assert EncoderConfig.from_json(BASE.to_json()) == BASE


def test_json_of_a_fine_tuned_model_keeps_its_head() -> None:
    config = dataclasses.replace(BASE, aux_num_out=32)
    assert json.loads(config.to_json())["aux_num_out"] == 32
    assert EncoderConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(("samples", "frames"), [(399, 0), (400, 1), (719, 1), (720, 2), (16_000, 49), (320_000, 999)])
def test_frames(samples: int, frames: int) -> None:
    assert BASE.frames(samples) == frames


def test_hop_and_receptive_field_of_aves() -> None:
    assert (BASE.hop, BASE.receptive_field) == (320, 400)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        dataclasses.replace(BASE, encoder_num_heads=7, encoder_pos_conv_groups=5, encoder_dropout=2.0)
    for word in ("encoder_num_heads 7", "encoder_pos_conv_groups 5", "encoder_dropout is 2.0"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("extractor_mode", "batch_norm"),
        ("extractor_conv_layer_config", ()),
        ("extractor_conv_layer_config", ((512, 10),)),
        ("extractor_conv_layer_config", ((512, 0, 5),)),
        ("extractor_conv_layer_config", 7),
        ("extractor_conv_layer_config", ((512, 10, 2**20 + 1),)),
        ("extractor_conv_layer_config", ((512, 10, 5),) * 65),
        ("encoder_embed_dim", 0),
        ("encoder_pos_conv_kernel", 2**20 + 1),
        ("encoder_embed_dim", True),
        ("encoder_embed_dim", "768"),
        ("encoder_num_layers", -1),
        ("encoder_num_layers", 1001),
        ("extractor_conv_bias", 0),
        ("encoder_layer_norm_first", None),
        ("encoder_layer_drop", -0.1),
        ("encoder_layer_drop", float("nan")),
        ("aux_num_out", 0),
    ],
)
def test_unusable_geometry_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InputError, match=field):
        dataclasses.replace(BASE, **{field: value})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html>", "not a JSON config"),
        ("[1]", "expected a JSON object"),
        ("{}", "missing entries: 'extractor_mode', "),
        (BASE.to_json().replace("encoder_dropout", "dropout"), "unknown entries: 'dropout'"),
        ("[" * 100_000, "not a JSON config"),
        ('{"a": ' + "9" * 5000 + "}", "not a JSON config"),
    ],
)
def test_a_file_that_is_no_config_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EncoderConfig.from_json(text)


def test_reading_names_the_file(tmp_path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.json"):
        EncoderConfig.read(tmp_path / "nowhere.json")
    binary = tmp_path / "weights.pt"
    binary.write_bytes(b"\x80\x02\xff\xfe")
    with pytest.raises(InputError, match=r"weights.pt.*binary"):
        EncoderConfig.read(binary)
