"""Folders that are written are loaded by transformers itself, without a word and bit for bit, and compute the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.tiny_encoders import clip, rms
from tests.support.transformers_folders import FINE_TUNED, VARIANTS, loaded, no_word, source

from aves_artifacts.base.errors import InputError
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.request import Source
from aves_convert.weights.heads import NO_HEADS, Heads, heads_of
from aves_convert.weights.model import load_model
from aves_convert.weights.to_torchaudio import TorchaudioPort, to_torchaudio
from aves_convert.weights.to_transformers import to_transformers


def converted(original: Source, folder: Path, *, heads: bool = False) -> TorchaudioPort:
    """Write the folder of a checkpoint; the port that it was made of."""
    checkpoint = original.read()
    port = to_torchaudio(checkpoint)
    folder.mkdir(exist_ok=True)
    to_transformers(checkpoint, port, heads_of(checkpoint, port.architecture) if heads else NO_HEADS).write(folder)
    return port


def entries(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_loaded_by_its_class_and_computes_what_the_port_does(variant: str, tmp_path: Path) -> None:
    port = converted(source(variant, tmp_path), tmp_path / "folder")
    model = loaded(tmp_path / "folder")
    kind = "Wav2Vec2" if variant.startswith("wav2vec") else "Hubert"
    assert type(model).__name__ == f"{kind}{'ForCTC' if variant in FINE_TUNED else 'Model'}"
    waveform, reference = clip(3000, 2, offset=0.1), load_model(port.config, port.state_dict)
    with torch.inference_mode():
        output, expected = model(waveform)[0].numpy(), reference(waveform)[0].numpy()
    assert output.shape == expected.shape
    np.testing.assert_allclose(output, expected, rtol=0, atol=2e-5 * rms(expected))


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["base", "wav2vec 2.0", "float16", "hubert-ctc"])
def test_every_tensor_is_the_checkpoints(variant: str, tmp_path: Path) -> None:
    original = source(variant, tmp_path)
    converted(original, tmp_path / "folder")
    checkpoint, state_dict = original.read(), loaded(tmp_path / "folder").state_dict()
    prefix = "hubert." if variant in FINE_TUNED else ""
    wrapper = "w2v_encoder.w2v_model." if variant in FINE_TUNED else ""
    for theirs, ours in {
        "masked_spec_embed": "mask_emb",
        "feature_projection.layer_norm.weight": "layer_norm.weight",
        "encoder.layers.1.attention.out_proj.bias": "encoder.layers.1.self_attn.out_proj.bias",
        "encoder.pos_conv_embed.conv.parametrizations.weight.original0": "encoder.pos_conv.0.weight_g",
    }.items():
        stored = checkpoint.tensors[wrapper + ours].read().astype(np.float32)
        assert state_dict[prefix + theirs].numpy().tobytes() == stored.tobytes(), theirs
    if variant in FINE_TUNED:
        head = checkpoint.tensors["w2v_encoder.proj.weight"].read()
        assert state_dict["lm_head.weight"].numpy().tobytes() == head.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "normalize", "mask"), [("base", False, False), ("hubert-ctc-pre-norm", True, True)]
)
def test_waveforms_are_prepared_as_the_task_says(variant: str, normalize: bool, mask: bool, tmp_path: Path) -> None:
    converted(source(variant, tmp_path), tmp_path / "folder")
    with no_word():
        from transformers import AutoFeatureExtractor

        extractor = AutoFeatureExtractor.from_pretrained(tmp_path / "folder")
    waveform = clip(3000, offset=0.1)[0].numpy()
    found = extractor(waveform, sampling_rate=16_000, return_tensors="np")
    assert ("attention_mask" in found) is mask
    expected = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7) if normalize else waveform
    np.testing.assert_allclose(found["input_values"][0], expected, atol=1e-6)
    with pytest.raises(ValueError, match="sampling rate"):
        extractor(waveform, sampling_rate=8_000)


LETTERS = ["<s>", "<pad>", "</s>", "<unk>", "|", "E", "T", "A"]


@pytest.mark.slow
@pytest.mark.parametrize("variant", FINE_TUNED)
def test_a_head_is_decoded_to_the_letters_of_the_dictionary(variant: str, tmp_path: Path) -> None:
    """With the blank of fairseq's CTC, which is its first symbol."""
    checkpoint = source(variant, tmp_path).read()
    port = to_torchaudio(checkpoint)
    rows = port.config.aux_num_out or 0
    symbols = (*LETTERS, *(f"x{index}" for index in range(rows - len(LETTERS))))
    (tmp_path / "folder").mkdir()
    to_transformers(dataclasses.replace(checkpoint, dictionaries=(symbols,)), port).write(tmp_path / "folder")
    with no_word():
        from transformers import AutoProcessor

        processor = AutoProcessor.from_pretrained(tmp_path / "folder")
    assert len(processor.tokenizer) == rows
    blank, space, e, t, a = 0, 4, 5, 6, 7
    frames = [blank, t, t, blank, t, e, e, space, space, blank, a, blank]
    assert processor.decode(frames) == "TTE A"
    assert processor.tokenizer.pad_token_id == blank == loaded(tmp_path / "folder").config.pad_token_id
    assert processor.tokenizer.convert_ids_to_tokens([0, 1, 2]) == ["<pad>", "<s>", "</s>"]


def test_letters_that_are_not_those_of_the_head_are_left_out(tmp_path: Path) -> None:
    checkpoint = source("hubert-ctc", tmp_path).read()
    port = to_torchaudio(checkpoint)
    for dictionaries in ((), (("<s>", "<pad>"),)):
        made = to_transformers(dataclasses.replace(checkpoint, dictionaries=dictionaries), port)
        assert list(made.documents) == ["preprocessor_config.json", "config.json"]


def test_a_model_without_an_embedding_for_masked_frames_asks_for_none(tmp_path: Path) -> None:
    original = source("base", tmp_path)
    checkpoint = original.read()
    port = to_torchaudio(checkpoint)
    dropped = {name: rule for name, rule in port.architecture.dropped.items() if name != "mask_emb"}
    lacking = dataclasses.replace(port, architecture=dataclasses.replace(port.architecture, dropped=dropped))
    made = to_transformers(checkpoint, lacking)
    assert "masked_spec_embed" not in made.tensors
    assert made.documents["config.json"]["mask_time_prob"] == 0.0
    assert made.documents["config.json"]["apply_spec_augment"] is False
    (tmp_path / "folder").mkdir()
    made.write(tmp_path / "folder")
    loaded(tmp_path / "folder")


# --- final_proj
@pytest.mark.slow
def test_the_projection_is_where_voice_conversion_looks_for_it(tmp_path: Path) -> None:
    """By the class that its tools define, each for itself."""
    original = source("base", tmp_path)
    converted(original, tmp_path / "folder", heads=True)
    assert entries(tmp_path / "folder" / "config.json")["architectures"] == ["HubertModelWithFinalProj"]
    with no_word():
        from transformers import HubertModel

        class HubertModelWithFinalProj(HubertModel):
            def __init__(self, config: Any) -> None:
                super().__init__(config)
                self.final_proj = torch.nn.Linear(config.hidden_size, config.classifier_proj_size)

        model, told = HubertModelWithFinalProj.from_pretrained(tmp_path / "folder", output_loading_info=True)
    assert not any(told.values())
    stored = read_checkpoint(original.path).tensors["final_proj.weight"].read()
    assert model.final_proj.weight.detach().numpy().tobytes() == stored.tobytes()


@pytest.mark.parametrize(
    ("variant", "why"), [("hubert-ctc", "has no final_proj"), ("wav2vec 2.0", "Wav2Vec2Model has no place for")]
)
def test_a_projection_that_there_is_not_is_refused(variant: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=why) as raised:
        converted(source(variant, tmp_path), tmp_path / "folder", heads=True)
    assert len(raised.value.problems) == 1


def test_heads_without_a_projection_are_refused(tmp_path: Path) -> None:
    checkpoint = source("base", tmp_path).read()
    heads = Heads({"label_embs_concat": np.zeros((3, 8), np.float32)})
    with pytest.raises(InputError, match="has no final_proj"):
        to_transformers(checkpoint, to_torchaudio(checkpoint), heads)


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    original = source("hubert-ctc", tmp_path)
    for name in ("one", "other"):
        converted(original, tmp_path / name)
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "other"))
    assert one == other
    assert len(one) == 5
