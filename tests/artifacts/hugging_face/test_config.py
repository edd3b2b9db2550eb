"""config.json written and read: the same geometry comes back, and what is another model is refused by name."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.hugging_face import import_transformers
from tests.support.tiny_encoders import VARIANTS, tiny

from aves_artifacts.base.errors import InputError
from aves_artifacts.encoder import MOST_CONVOLUTIONS
from aves_artifacts.hugging_face.config import MODEL_TYPES, FolderConfig, config_entries, folder_config, read_config

BASE: dict[str, Any] = {"model_type": "hubert", "architectures": ["HubertModel"]}
DROPOUTS = {
    "encoder_projection_dropout": 0.11,
    "encoder_attention_dropout": 0.12,
    "encoder_ff_interm_dropout": 0.13,
    "encoder_dropout": 0.14,
    "encoder_layer_drop": 0.15,
}


@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_written_is_read_as_the_same_encoder(variant: str, model_type: str) -> None:
    config = folder_config(dataclasses.replace(tiny(variant), **DROPOUTS), model_type)
    for masked in (True, False):
        entries = json.loads(json.dumps(config_entries(config, masked=masked, projection=8)))
        assert read_config(entries, "config.json") == config
        assert entries["classifier_proj_size"] == 8
        assert (entries["mask_time_prob"] > 0) == masked
        assert entries["mask_feature_prob"] == 0


def test_the_class_is_the_one_that_has_the_head() -> None:
    assert [folder_config(tiny(name), "hubert").model_class for name in ("base", "ctc-head")] == [
        "HubertModel",
        "HubertForCTC",
    ]
    assert [folder_config(tiny(name), "wav2vec2").prefix for name in ("base", "ctc-head")] == ["", "wav2vec2."]
    assert FolderConfig("hubert", "HubertModelWithFinalProj", tiny("base")).prefix == ""
    assert FolderConfig("hubert", "HubertForSequenceClassification", tiny("base")).prefix == "hubert."


@pytest.mark.slow
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_nothing_is_left_to_the_classes_defaults(model_type: str) -> None:
    """What decides what is computed is written, and what is missing is read as the class has it."""
    transformers = import_transformers()
    settings = {"hubert": transformers.HubertConfig, "wav2vec2": transformers.Wav2Vec2Config}[model_type]
    written = config_entries(folder_config(tiny("large"), model_type), masked=True)
    own = {field.name for field in dataclasses.fields(settings)} - {
        field.name for field in dataclasses.fields(transformers.PretrainedConfig)
    }
    heads = (
        "use_weighted",
        "classifier",
        "tdnn",
        "xvector",
        "codevector",
        "num_codevector",
        "contrastive",
        "diversity",
    )
    other = ("num_negatives", "proj_codevector", "feat_quantizer", "output_hidden_size", "adapter", "num_adapter")
    assert {name for name in own - set(written) if not name.startswith((*heads, *other))} == set()
    default = settings().to_dict()
    assert read_config(default, "w").encoder == read_config({"model_type": model_type}, "w").encoder
    for name, value in written.items():
        assert name in settings(**written).to_dict() or name in ("torch_dtype", "architectures", "model_type"), value


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another activation": (
        {"hidden_act": "relu"},
        r"in its feed-forward layers \(hidden_act 'relu'\)",
    ),
    "another activation of convolutions": ({"feat_extract_activation": "relu"}, "another activation after its conv"),
    "another epsilon": ({"layer_norm_eps": 1e-12}, "norms with another epsilon"),
    "batch norm": ({"conv_pos_batch_norm": True}, "a batch-norm positional convolution"),
    "a number for false": ({"conv_pos_batch_norm": 0}, "a batch-norm positional convolution"),
    "DistilHuBERT": ({"feat_proj_layer_norm": False}, "no layer norm before its projection, as DistilHuBERT"),
    "an adapter": ({"add_adapter": True}, "an adapter behind its encoder"),
    "MMS": ({"adapter_attn_dim": 16}, "adapters in its layers, as MMS has"),
    "quantised": ({"quantization_config": {"bits": 4}}, r"quantised weights \(quantization_config \{\.\.\.\}\)"),
    "code": ({"auto_map": {"AutoModel": "x.py--X"}}, "code of its own, which is not run"),
    "WavLM": (
        {"model_type": "wavlm"},
        r"a model of type 'wavlm' \(WavLM, whose attention has gated",
    ),
    "data2vec": ({"model_type": "data2vec-audio"}, "positions come from a stack of convolutions"),
    "an unknown type": ({"model_type": "owl"}, r"a model of type 'owl'; expected one of hubert, wav2vec2"),
    "no type": ({"model_type": None}, "a model of type None; expected"),
    "a list for a type": ({"model_type": ["hubert"]}, r"a model of type \[\.\.\.\]; expected"),
    "another class": ({"architectures": ["HubertOwl"]}, "a model of class 'HubertOwl'; expected one of HubertModel"),
    "no class": ({"architectures": [[]]}, r"a model of class \[\.\.\.\]"),
    "the other type's class": ({"architectures": ["Wav2Vec2Model"]}, "a model of class 'Wav2Vec2Model'"),
    "no list": ({"conv_dim": 512}, f"conv_dim is 512, expected a list of 1 to {MOST_CONVOLUTIONS} numbers"),
    "an empty list": ({"conv_kernel": []}, r"conv_kernel is \[\.\.\.\], expected"),
    "an endless list": ({"conv_stride": [1] * 10**5}, r"conv_stride is \[\.\.\.\], expected"),
    "lists of other lengths": ({"conv_dim": [512] * 6}, "counted differently: conv_dim 6, conv_kernel 7"),
    "another count": ({"num_feat_extract_layers": 6}, "conv_stride 7, num_feat_extract_layers 6"),
    "another norm": ({"feat_extract_norm": "batch"}, "feat_extract_norm is 'batch', expected 'group' or 'layer'"),
    "lists in a list": ({"conv_dim": [[1]] * 7}, "extractor_conv_layer_config must be"),
    "a huge number": ({"hidden_size": 10**5000}, "encoder_embed_dim is a number of 16610 bits"),
    "a text for a number": ({"num_hidden_layers": "12"}, "encoder_num_layers is '12'"),
    "a number for true": ({"conv_bias": 1}, "extractor_conv_bias is 1, expected true or false"),
    "no probability": ({"layerdrop": float("nan")}, "encoder_layer_drop is nan, expected a probability"),
    "no letters": ({"architectures": ["HubertForCTC"], "vocab_size": None}, "vocab_size is None, expected the number"),
    "many letters": ({"architectures": ["HubertForCTC"], "vocab_size": 10**9}, "aux_num_out is 1000000000"),
}


@pytest.mark.parametrize(("entries", "message"), REFUSED.values(), ids=REFUSED)
def test_another_model_is_refused_by_name(entries: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_config(BASE | entries, "x/config.json")
    assert all(problem.startswith("x/config.json: ") and len(problem) < 300 for problem in caught.value.problems)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        read_config(BASE | {"hidden_act": "relu", "adapter_attn_dim": 1, "feat_extract_norm": None}, "w")
    assert len(caught.value.problems) == 3


def test_what_is_missing_is_as_the_classes_have_it() -> None:
    found = read_config({"model_type": "wav2vec2"}, "w")
    assert (found.model_class, found.encoder.encoder_embed_dim, found.encoder.frames(16_000)) == (
        "Wav2Vec2Model",
        768,
        49,
    )
    assert read_config({"model_type": "hubert", "architectures": ["HubertForCTC"]}, "w").encoder.aux_num_out == 32
    assert read_config({"model_type": "hubert", "architectures": "HubertModel"}, "w").model_class == "HubertModel"


def refused(entries: Any) -> tuple[str, ...]:
    try:
        assert isinstance(read_config(entries, "w"), FolderConfig)
    except InputError as error:
        return error.problems
    return ()


ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(2**2000)
VALUES = st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=3), inner))
NAMES = [*config_entries(folder_config(tiny("base"), "hubert"), masked=True), "add_adapter", "adapter_attn_dim"]


@given(st.dictionaries(st.sampled_from(NAMES), VALUES), st.booleans())
def test_hostile_entries_give_a_model_or_one_clear_error(entries: dict[str, Any], known: bool) -> None:
    problems = refused({**entries, **BASE} if known else entries)
    assert all(problem.startswith("w: ") and problem.isprintable() for problem in problems)


@pytest.mark.parametrize("value", [None, 1, "x", [], [{}], float("nan")])
def test_what_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"^w: expected a JSON object with a model's settings, found "):
        read_config(value, "w")


def test_values_that_go_deep_are_not_followed() -> None:
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]
    for name in ("hidden_act", "hidden_size", "architectures", "model_type", "feat_extract_norm"):
        assert "[...]" in refused(BASE | {name: deep})[0]
    assert "conv_dim 1, conv_kernel 7" in refused(BASE | {"conv_dim": deep})[0]
