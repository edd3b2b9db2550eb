"""Every model that fairseq builds is converted exactly, or refused by name; fairseq itself is the reference."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import functools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.fairseq_models import CLUSTERS, LETTERS, Original, Variant, build
from tests.support.graphs import encoder_graph
from tests.support.round_trip import assert_same_checkpoint, there_and_back

from aves_artifacts.base.errors import InputError
from aves_artifacts.encoder import EncoderConfig
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph_files.writer import save_graph
from aves_convert.weights.model import load_model
from aves_convert.weights.to_torchaudio import TorchaudioPort, to_torchaudio
from aves_verify.backends.fairseq_hubert import FairseqBackend
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.comparison.compare import Tolerance, compare

pytestmark = pytest.mark.slow

PRE_NORM = {"extractor_mode": "layer_norm", "layer_norm_first": True}
QUANTISED = {"quantize_targets": True, "latent_vars": 6}
VARIANTS: dict[str, Variant] = {
    "base": Variant(),
    "group norm with bias": Variant(model={"conv_bias": True}),
    "layer norm": Variant(model={"extractor_mode": "layer_norm"}),
    "layer norm with bias": Variant(model={"extractor_mode": "layer_norm", "conv_bias": True}),
    "pre-norm": Variant(model=PRE_NORM, task={"normalize": True}),
    "pre-norm with group norm": Variant(model={"layer_norm_first": True}),
    "no projection": Variant(model={"conv_feature_layers": "[(8,10,5)] + [(16,3,2)] * 2"}),
    "one convolution": Variant(model={"conv_feature_layers": "[(12, 20, 7)]"}),
    "convolutions of seven sizes": Variant(
        model={"conv_feature_layers": "[(4,10,5), (6,8,4)] + [(8,4,2)] * 3 + [(10,2,1), (12,1,1)]"}
    ),
    "odd positional kernel": Variant(model={"conv_pos": 7, "conv_pos_groups": 2}),
    "positional kernel of one": Variant(model={"conv_pos": 1, "conv_pos_groups": 16}),
    "positional kernel longer than the clip": Variant(model={"conv_pos": 128, "conv_pos_groups": 1}),
    "one head, wide": Variant(model={"encoder_attention_heads": 1, "encoder_ffn_embed_dim": 7}),
    "frames padded to a multiple of five": Variant(model={"required_seq_len_multiple": 5}),
    "what only training uses": Variant(
        model={"checkpoint_activations": True, "encoder_layerdrop": 0.5, "dropout_features": 0.3, "mask_prob": 0.9}
    ),
    "12 layers": Variant(model={"encoder_layers": 12}),
    "24 layers, pre-norm": Variant(model={"encoder_layers": 24, **PRE_NORM}),
    "48 layers, pre-norm": Variant(model={"encoder_layers": 48, **PRE_NORM, "conv_bias": True}),
    "several label sets": Variant(labels=(CLUSTERS, 7, 31)),
    "several label sets, untied": Variant(model={"untie_final_proj": True}, labels=(CLUSTERS, 7, 31)),
    "gated targets": Variant(model={"target_glu": True}),
    "final dimension is the encoder's": Variant(model={"final_dim": 0, "target_glu": True}),
    "fine-tuned": Variant("hubert_ctc"),
    "fine-tuned, pre-norm": Variant("hubert_ctc", model=PRE_NORM, task={"normalize": True}),
    "fine-tuned from several label sets": Variant("hubert_ctc", model={"untie_final_proj": True}, labels=(9, 8)),
    "wav2vec 2.0": Variant("wav2vec2", model=QUANTISED),
    "wav2vec 2.0, unquantised": Variant("wav2vec2"),
    "wav2vec 2.0, deep quantiser": Variant("wav2vec2", model={**QUANTISED, "quantizer_depth": 3, "latent_dim": 6}),
    "wav2vec 2.0, pre-norm, gated": Variant("wav2vec2", model={**QUANTISED, **PRE_NORM, "target_glu": True}),
    "wav2vec 2.0, fine-tuned": Variant("wav2vec_ctc", model=QUANTISED),
    "wav2vec 2.0, fine-tuned, pre-norm": Variant("wav2vec_ctc", model={**QUANTISED, **PRE_NORM}),
}


@dataclasses.dataclass(frozen=True)
class Converted:
    """fairseq's model, its file as we read it, and the port."""

    original: Original
    checkpoint: Checkpoint
    port: TorchaudioPort

    @property
    def config(self) -> EncoderConfig:
        return self.port.config

    def waveform(self, frames: int) -> torch.Tensor:
        """A loud, a quiet and a shifted clip [3, samples] that give so many frames."""
        samples = self.config.receptive_field + (frames - 1) * self.config.hop
        noise = torch.randn(3, samples, generator=torch.Generator().manual_seed(frames))
        return noise * torch.tensor([[1.0], [0.01], [0.3]]) + torch.tensor([[0.0], [0.0], [0.5]])


def convert(original: Original, path: Path) -> Converted:
    checkpoint = read_checkpoint(path)
    return Converted(original, checkpoint, to_torchaudio(checkpoint))


@pytest.fixture(scope="module", params=VARIANTS)
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    folder = tmp_path_factory.mktemp("variant")
    original = build(VARIANTS[request.param], folder)
    torch.save(original.state, folder / "original.pt")
    return convert(original, folder / "original.pt")


def close(actual: Any, expected: torch.Tensor, tolerance: float) -> bool:
    """Whether the largest difference is at most ``tolerance`` times the largest value."""
    actual = torch.as_tensor(actual)
    assert actual.shape == expected.shape
    return bool((actual - expected).abs().max() <= tolerance * expected.abs().max())


def outputs(original: Original, waveform: torch.Tensor) -> dict[str, torch.Tensor]:
    """Everything that fairseq's model gives, under the verifier's names."""
    given = {"final": original.embeddings(waveform)}
    given |= {f"layer.{i}": layer for i, layer in enumerate(original.layers(waveform))}
    return given | ({"logits": original.logits(waveform)} if hasattr(original.model, "w2v_encoder") else {})


def test_only_a_fine_tuned_model_has_a_head(converted: Converted) -> None:
    fine_tuned = converted.port.architecture.model_class.endswith("_ctc")
    assert converted.config.aux_num_out == (LETTERS if fine_tuned else None)
    assert ("logits" in outputs(converted.original, converted.waveform(12))) == fine_tuned


@pytest.mark.parametrize("frames", [12, 23], ids=["even", "odd"])
def test_torchaudio_equals_fairseq(converted: Converted, frames: int) -> None:
    waveform = converted.waveform(frames)
    expected = outputs(converted.original, waveform)

    given = TorchaudioBackend(converted.config, converted.port.state_dict).run(waveform.numpy(), layers=True)

    assert expected["final"].shape == (3, frames, converted.config.encoder_embed_dim)
    assert list(given) == list(expected)
    for name, output in expected.items():
        assert close(given[name], output, 1e-5), name


def test_torchaudio_equals_fairseq_in_float64(converted: Converted) -> None:
    waveform = converted.waveform(23)

    exact = TorchaudioBackend(converted.config, converted.port.state_dict, dtype=torch.float64)
    given = exact.run(waveform.numpy(), layers=True)

    for name, output in outputs(converted.original.in_float64(), waveform.double()).items():
        assert close(given[name], output, 1e-10), name


def test_onnx_equals_fairseq(converted: Converted, tmp_path: Path) -> None:
    waveform = converted.waveform(23)
    save_graph(
        encoder_graph(converted.config, converted.port.state_dict, OnnxOptions(layers="all")), tmp_path / "x.onnx"
    )

    given = OnnxBackend(tmp_path / "x.onnx", threads=1).run(waveform.numpy(), layers=True)

    exact = TorchaudioBackend(converted.config, converted.port.state_dict, dtype=torch.float64)
    answers = exact.run(waveform.numpy(), layers=True)
    for name, output in outputs(converted.original, waveform).items():
        comparison = compare(
            given[name],
            output.numpy(),
            backend="onnx",
            reference_name="fairseq",
            clip="noise",
            layer=name,
            tolerance=Tolerance(),
            exact=answers[name],
        )
        assert comparison.status != "fail", comparison.reason


def test_the_backend_is_fairseq(converted: Converted) -> None:
    original, waveform = converted.original, converted.waveform(23)
    # each layer by fairseq's own way to it, a run each
    expected = {"final": original.embeddings(waveform)}
    for i in range(converted.config.encoder_num_layers):
        expected[f"layer.{i}"] = original.embeddings(waveform, layer=i)
    if converted.config.aux_num_out is not None:
        expected["logits"] = original.logits(waveform)

    given = FairseqBackend(converted.checkpoint).run(waveform.numpy(), layers=True)

    assert list(given) == list(expected)
    for name, output in expected.items():
        np.testing.assert_array_equal(given[name], output.numpy())


def test_the_ports_own_call_gives_the_logits(converted: Converted) -> None:
    """As a user calls it, without the verifier's code."""
    waveform = converted.waveform(23)
    model = load_model(converted.config, converted.port.state_dict)
    with torch.inference_mode():
        given = model(waveform)[0]
    expected = outputs(converted.original, waveform)
    assert close(given, expected.get("logits", expected["final"]), 1e-5)


def test_every_tensor_is_accounted_for(converted: Converted) -> None:
    assert [e.source for e in converted.port.ledger if e.source is not None] == list(converted.original.state["model"])
    assert all(entry.reason for entry in converted.port.ledger if entry.action != "mapped")
    for entry in converted.port.ledger:
        if entry.action == "mapped" and entry.source is not None and entry.target is not None:
            expected = converted.original.state["model"][entry.source]
            assert np.array_equal(converted.port.state_dict[entry.target], expected)


def test_the_way_back_is_bit_identical(converted: Converted) -> None:
    returned, remarks = there_and_back(converted.checkpoint.path)

    assert_same_checkpoint(returned, converted.checkpoint.path)
    assert remarks == ("optimizer state left out: it belongs to the former weights",)
    tensors = {name: tensor.read() for name, tensor in read_checkpoint(returned).tensors.items()}
    assert list(tensors) == list(converted.original.state["model"])
    assert all(np.array_equal(tensors[name], tensor) for name, tensor in converted.original.state["model"].items())


def test_damage_to_any_one_tensor_is_caught(converted: Converted) -> None:
    check_that_damage_is_caught(converted.checkpoint)


def test_normalisation_is_recorded(converted: Converted) -> None:
    assert converted.port.architecture.normalize is converted.original.state["cfg"]["task"]["normalize"]


# --- the forms in which users hold one and the same model ------------------------------------------------------------


State = dict[str, Any]  # what torch.save gets


def plain(original: Original) -> State:
    return copy.deepcopy(original.state)


def as_dict_config(original: Original) -> State:
    from omegaconf import OmegaConf

    return {**plain(original), "cfg": OmegaConf.create(original.state["cfg"])}


def as_dict_config_with_references(original: Original) -> State:
    from omegaconf import OmegaConf

    cfg = OmegaConf.create(OmegaConf.to_container(original.cfg, resolve=False, enum_to_str=True))
    if hasattr(original.model, "w2v_encoder"):
        cfg.model.w2v_args = OmegaConf.create(original.state["cfg"]["model"]["w2v_args"])
    return {**plain(original), "cfg": cfg}


def as_namespace(original: Original) -> State:
    """The layout of 2020: all settings in one namespace, that of the pretrained model inside."""

    def flat(cfg: dict[str, Any]) -> argparse.Namespace:
        names = {"arch": cfg["model"]["_name"], "task": cfg["task"]["_name"]}
        entries = {**cfg["task"], **cfg["model"], **names}
        entries.pop("_name")
        if entries.get("w2v_args"):
            entries["w2v_args"] = flat(entries["w2v_args"])
        return argparse.Namespace(**entries)

    state = plain(original)
    state["args"] = flat(state.pop("cfg"))
    return state


def with_numpy_scalars(original: Original) -> State:
    def numpy(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: numpy(item) for key, item in value.items()}
        if isinstance(value, list):
            return [numpy(item) for item in value]
        kinds = {bool: np.bool_, int: np.int64, float: np.float64}
        return kinds[type(value)](value) if type(value) in kinds else value

    names = ("cfg", "optimizer_history", "extra_state")
    return {**plain(original), **{name: numpy(original.state[name]) for name in names}}


def with_ema(original: Original) -> State:
    state = plain(original)
    state["extra_state"]["ema"] = {name: tensor + 1 for name, tensor in state["model"].items()}
    state["extra_state"]["ema_fp32_params"] = dict(state["extra_state"]["ema"])
    return state


def wrapped(original: Original) -> State:
    return {**plain(original), "model": {f"module.{name}": x for name, x in original.state["model"].items()}}


def in_precision(dtype: torch.dtype) -> Callable[[Original], State]:
    return lambda original: {
        **plain(original),
        "model": {name: tensor.to(dtype) for name, tensor in original.state["model"].items()},
    }


FORMS: dict[str, Callable[[Original], State]] = {
    "plain": plain,
    "DictConfig": as_dict_config,
    "DictConfig with references": as_dict_config_with_references,
    "Namespace": as_namespace,
    "legacy container": plain,
    "legacy container, Namespace": as_namespace,
    "saved on CUDA": plain,
    "numpy scalars": with_numpy_scalars,
    "EMA": with_ema,
    "wrapped": wrapped,
    "float16": in_precision(torch.float16),
    "bfloat16": in_precision(torch.bfloat16),
}
MODELS = {
    "HubertModel": Variant(model={**PRE_NORM, "untie_final_proj": True}, task={"normalize": True}, labels=(9, 8)),
    "HubertCtc": Variant("hubert_ctc", model=PRE_NORM, task={"normalize": True}),
    "Wav2Vec2Model": Variant("wav2vec2", model={**QUANTISED, "latent_temp": (2.0, 0.5, 0.99)}),
    "Wav2VecCtc": Variant("wav2vec_ctc", model=QUANTISED),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Original]:
    """Each model, built once."""
    return functools.cache(lambda name: build(MODELS[name], tmp_path_factory.mktemp(name)))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_the_file_changes_nothing(
    name: str, form: str, originals: Callable[[str], Original], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, path = originals(name), tmp_path / "x.pt"
    if form == "saved on CUDA":  # nothing else of a file tells that it comes from a GPU
        monkeypatch.setattr(torch.serialization, "location_tag", lambda _storage: "cuda:0")
    torch.save(FORMS[form](original), path, _use_new_zipfile_serialization=not form.startswith("legacy"))
    assert not form.startswith("legacy") or path.read_bytes()[:2] != b"PK"
    torch.save(original.state, tmp_path / "plain.pt")
    expected = convert(original, tmp_path / "plain.pt")

    converted = convert(original, path)

    assert converted.config == expected.config
    assert converted.checkpoint.num_updates == 7
    assert converted.checkpoint.has_ema is (form == "EMA")
    assert converted.checkpoint.has_optimizer_state
    assert converted.port.architecture.model_class == MODELS[name].model_class
    assert converted.port.architecture.normalize is original.state["cfg"]["task"]["normalize"]
    rounded = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(form, torch.float32)
    for target, values in expected.port.state_dict.items():
        through = torch.from_numpy(values).to(rounded).float()
        assert np.array_equal(converted.port.state_dict[target], through), target
    waveform = expected.waveform(11)
    final = original.rounded_to(rounded).embeddings(waveform)
    backend = FairseqBackend(converted.checkpoint)
    np.testing.assert_array_equal(backend.run(waveform.numpy())["final"], final.numpy())
    ported = TorchaudioBackend(converted.config, converted.port.state_dict).run(waveform.numpy())
    assert close(ported["final"], final, 1e-5)
    assert_same_checkpoint(there_and_back(path)[0], path)


# --- damage ----------------------------------------------------------------------------------------------------------


def to_damage(checkpoint: Checkpoint) -> list[str]:
    """All tensors; of more than 24 layers those of every eighth and the last, as each costs a look at all of them."""
    layers = {name: int(found[1]) for name in checkpoint.tensors if (found := re.search(r"\.layers\.(\d+)\.", name))}
    last = max(layers.values())
    some = {*range(0, last, 8), last} if last >= 24 else set(layers.values())
    return [name for name in checkpoint.tensors if layers.get(name, last) in some]


def check_that_damage_is_caught(checkpoint: Checkpoint) -> None:
    """Leave out, rename, add and reshape every tensor in turn."""
    to_torchaudio(checkpoint)
    for source in to_damage(checkpoint):
        tensor = checkpoint.tensors[source]
        others = {n: t for n, t in checkpoint.tensors.items() if n != source}
        flat = dataclasses.replace(tensor, shape=(math.prod(tensor.shape) + 1,), stride=(1,))
        deeper = dataclasses.replace(tensor, shape=(*tensor.shape, 1), stride=(*tensor.stride, 1))
        may_be_missing = source.endswith("w2v_encoder.w2v_model.label_embs_concat")
        for change, message in (
            ({}, f"missing {source}"),
            ({f"{source}_": tensor}, f"unknown {source}_" if may_be_missing else f"missing {source}"),
            ({source: tensor, f"{source}_": tensor}, f"unknown {source}_"),
            ({source: flat}, f"{source} has shape"),
            ({source: deeper}, f"{source} has shape"),
        ):
            if may_be_missing and not change:
                continue  # below
            with pytest.raises(InputError) as caught:
                to_torchaudio(dataclasses.replace(checkpoint, tensors={**others, **change}))
            assert message in str(caught.value), (source, change)


@pytest.mark.parametrize("name", MODELS)
def test_damage_to_any_one_tensor_of_a_wrapped_model_is_caught(
    name: str, originals: Callable[[str], Original], tmp_path: Path
) -> None:
    torch.save(wrapped(originals(name)), tmp_path / "x.pt")
    check_that_damage_is_caught(read_checkpoint(tmp_path / "x.pt"))


def test_a_fine_tuned_model_may_be_without_label_embeddings(
    originals: Callable[[str], Original], tmp_path: Path
) -> None:
    """fairseq builds it without where the pretraining's dictionary is out of reach; nothing else in the file tells."""
    state = copy.deepcopy(originals("HubertCtc").state)
    del state["model"]["w2v_encoder.w2v_model.label_embs_concat"]
    torch.save(state, tmp_path / "x.pt")

    converted = convert(originals("HubertCtc"), tmp_path / "x.pt")

    waveform = converted.waveform(11)
    expected = converted.original.embeddings(waveform).numpy()
    np.testing.assert_array_equal(FairseqBackend(converted.checkpoint).run(waveform.numpy())["final"], expected)


# --- what TorchAudio's model cannot express --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "feature"),
    [
        (Variant(model={"layer_type": "conformer", "depthwise_conv_kernel_size": 3}), "conformer layers"),
        (
            Variant("wav2vec2", model={"layer_type": "conformer", "pos_enc_type": "rope", "attn_type": "espnet"}),
            "conformer layers .* rotary positions .* ESPnet attention",
        ),
        (
            Variant("wav2vec2", model={"layer_type": "conformer", "pos_enc_type": "rel_pos", "attn_type": "espnet"}),
            "relative or rotary positions",
        ),
        (Variant("wav2vec2", model={"pos_conv_depth": 2}), "stack of positional convolutions"),
        (Variant("wav2vec2", model={**QUANTISED, "quantize_input": True}), "quantised input"),
        (Variant("wav2vec2", model={"crop_seq_to_multiple": 2}), "cropped to a multiple"),
        (Variant(model={"activation_fn": "relu"}), "activation other than exact GELU"),
        (Variant(model={"activation_fn": "gelu_accurate"}), "activation other than exact GELU"),
        (Variant("hubert_ctc", model={"activation_fn": "tanh"}), "activation other than exact GELU"),
    ],
    ids=lambda value: value.model_class if isinstance(value, Variant) else value[:20],
)
def test_what_fairseq_builds_and_torchaudio_cannot_is_refused_by_name(
    variant: Variant, feature: str, tmp_path: Path
) -> None:
    original = build(variant, tmp_path)
    torch.save(original.state, tmp_path / "x.pt")

    with pytest.raises(InputError, match=rf"(?s){feature}.*cannot express") as caught:
        convert(original, tmp_path / "x.pt")
    for problem in caught.value.problems:
        assert problem.isprintable()
        assert "there is no faithful port of it" in problem


@pytest.mark.parametrize(
    ("entries", "feature"),
    [
        ({"conv_pos_batch_norm": True}, "batch-norm positional convolution"),
        ({"conv_pos_pre_norm": True}, "layer norm before the positional convolution"),
        ({"pos_enc_type": "rel_pos"}, "relative or rotary positions"),
        ({"pos_enc_type": "rope"}, "relative or rotary positions"),
        ({"layer_type": "trf_adp"}, "adapters"),
        ({"layer_type": "mamba"}, "another kind of layer"),
        ({"adp_num": 8}, "adapters"),
        ({"use_adp": True}, "adapters"),
        ({"_name": "data2vec_audio"}, "data2vec"),
        ({"_name": "data2vec_multi"}, "data2vec 2.0"),
        ({"_name": "hubert_seq2seq"}, "sequence-to-sequence decoder"),
        ({"_name": "wav2vec"}, "first wav2vec"),
        ({"encoder_layers": 1_000_000_000}, "encoder_num_layers is 1000000000, expected .* to 1000"),
        ({"encoder_layers": 900}, "the config says 900 layers"),
        ({"_name": "wav2vec2", "quantize_targets": True, "latent_groups": 0}, "latent_groups is 0"),
        ({"_name": "wav2vec2", "quantize_targets": True, "quantizer_depth": 10**9}, "quantizer_depth is 1000000000"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_other_versions_of_fairseq_have_is_refused_by_name(
    entries: dict[str, Any], feature: str, originals: Callable[[str], Original], tmp_path: Path
) -> None:
    state = copy.deepcopy(originals("HubertModel").state)
    state["cfg"]["model"] |= entries
    torch.save(state, tmp_path / "x.pt")

    with pytest.raises(InputError, match=feature) as caught:
        convert(originals("HubertModel"), tmp_path / "x.pt")
    assert "\n" not in str(caught.value)
