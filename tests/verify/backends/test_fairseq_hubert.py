from __future__ import annotations

import dataclasses
import importlib
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_convert.checkpoint.reading import read_checkpoint
from aves_verify.backends import fairseq_import
from aves_verify.backends.fairseq_hubert import FairseqBackend
from aves_verify.backends.fairseq_import import import_hubert, old_dataclass_rules, quiet

POST_NORM: dict[str, Any] = {
    "_name": "hubert",
    "label_rate": 50.0,
    "extractor_mode": "default",
    "conv_feature_layers": "[(8,10,5)] + [(8,3,2)] * 2",
    "encoder_layers": 3,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 4,
    "final_dim": 8,
    "conv_pos": 8,
    "conv_pos_groups": 4,
    "untie_final_proj": True,
    "encoder_layerdrop": 0.05,
    "feature_grad_mult": 0.1,
    "unknown_to_fairseq": object,  # a file of another version may say more; it is torch.save'd as a class name
}
PRE_NORM = {**POST_NORM, "extractor_mode": "layer_norm", "layer_norm_first": True, "conv_bias": True}
LABELS = 11
HOP = 20
EVEN, ODD = 10 + 2 * (5 + 10) + 9 * HOP, 10 + 2 * (5 + 10) + 10 * HOP


def build_by_hand(config: dict[str, Any]) -> Any:
    """A HubertModel in the ordinary way, its weights drawn by fairseq."""
    hubert = import_hubert()
    torch.manual_seed(1)
    known = {name: value for name, value in config.items() if name in hubert.HubertConfig.__dataclass_fields__}
    with quiet():
        model = hubert.HubertModel(hubert.HubertConfig(**known), hubert.HubertPretrainingConfig(), [range(LABELS)])
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith("bias"):  # fairseq starts these at 0 and 1, where a fault would not show
                parameter.data.uniform_(0.5, 1.5)
    return model.eval()


def save(path: Path, config: dict[str, Any], weights: dict[str, torch.Tensor]) -> Path:
    """Write a file as fairseq's trainer lays it out."""
    cfg = {"model": config, "task": {"_name": "hubert_pretraining", "sample_rate": 16_000, "normalize": False}}
    torch.save({"args": None, "cfg": cfg, "model": weights, "extra_state": {}}, path)
    return path


def waveform(samples: int, batch: int = 2) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((batch, samples)).astype(np.float32)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save(tmp_path / "tiny.pt", POST_NORM, build_by_hand(POST_NORM).state_dict())


@pytest.mark.parametrize("config", [POST_NORM, PRE_NORM], ids=["post-norm", "pre-norm"])
@pytest.mark.parametrize("samples", [EVEN, ODD], ids=["even frames", "odd frames"])
def test_equals_the_model_built_and_called_by_hand(tmp_path: Path, config: dict[str, Any], samples: int) -> None:
    model = build_by_hand(config)
    backend = FairseqBackend(read_checkpoint(save(tmp_path / "tiny.pt", config, model.state_dict())))
    audio = waveform(samples)

    embeddings = backend.run(audio, layers=True)

    with torch.no_grad():
        expected, _ = model.extract_features(torch.from_numpy(audio), padding_mask=None, mask=False)
        layers = [model.extract_features(torch.from_numpy(audio), output_layer=i)[0] for i in (1, 2, 3)]
    assert list(embeddings) == ["final", "layer.0", "layer.1", "layer.2"]
    assert expected.shape[1] % 2 == (samples == ODD)
    np.testing.assert_array_equal(embeddings["final"], expected.numpy())
    for i, layer in enumerate(layers):
        np.testing.assert_array_equal(embeddings[f"layer.{i}"], layer.numpy())
    assert np.array_equal(embeddings["final"], embeddings["layer.2"]) == (config is POST_NORM)


def test_gives_only_the_final_embeddings_unless_asked_and_the_same_each_time(checkpoint: Path) -> None:
    backend = FairseqBackend(read_checkpoint(checkpoint))
    audio = waveform(EVEN)
    before = audio.copy()
    audio.flags.writeable = False

    first, second = backend.run(audio), backend.run(audio)

    assert list(first) == ["final"]
    assert first["final"].dtype == np.float32
    assert first["final"].shape == (2, 10, 16)
    np.testing.assert_array_equal(first["final"], second["final"])
    np.testing.assert_array_equal(audio, before)


def test_says_what_it_is(checkpoint: Path) -> None:
    backend = FairseqBackend(read_checkpoint(checkpoint))

    assert (backend.name, backend.version) == ("fairseq", "0.12.2")


def test_leaves_the_state_of_the_process_alone(
    checkpoint: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    numpy_state = np.random.get_state(legacy=False)
    torch_state = torch.get_rng_state()
    settings = (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads(), logging.root.handlers[:])

    FairseqBackend(read_checkpoint(checkpoint)).run(waveform(ODD))

    after = (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads(), logging.root.handlers[:])
    assert after == settings
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_equal(np.random.get_state(legacy=False), numpy_state)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_half_precision_weights_are_widened(tmp_path: Path) -> None:
    model = build_by_hand(POST_NORM).half()
    backend = FairseqBackend(read_checkpoint(save(tmp_path / "half.pt", POST_NORM, model.state_dict())))
    audio = waveform(EVEN)

    with torch.no_grad():
        expected, _ = model.float().extract_features(torch.from_numpy(audio))
    np.testing.assert_array_equal(backend.run(audio)["final"], expected.numpy())


def test_fills_in_what_an_older_config_lacks(tmp_path: Path) -> None:
    model = build_by_hand(POST_NORM)
    lacking = ("label_rate", "extractor_mode", "feature_grad_mult", "_name")
    config = {name: value for name, value in POST_NORM.items() if name not in lacking}
    backend = FairseqBackend(read_checkpoint(save(tmp_path / "old.pt", config, model.state_dict())))
    audio = waveform(EVEN)

    with torch.no_grad():
        expected, _ = model.extract_features(torch.from_numpy(audio))
    np.testing.assert_array_equal(backend.run(audio)["final"], expected.numpy())


@pytest.mark.parametrize(
    ("name", "replacement", "message"),
    [
        ("encoder.layers.1.fc1.weight", None, "Missing.*encoder.layers.1.fc1.weight"),
        ("encoder.layers.7.fc1.weight", torch.zeros(2), "Unexpected.*encoder.layers.7.fc1.weight"),
        ("encoder.layers.1.fc1.weight", torch.zeros(2, 2), "size mismatch.*encoder.layers.1.fc1.weight"),
    ],
    ids=["missing", "unexpected", "misshapen"],
)
def test_refuses_weights_that_do_not_fit(
    tmp_path: Path, name: str, replacement: torch.Tensor | None, message: str
) -> None:
    weights = build_by_hand(POST_NORM).state_dict()
    weights.pop(name, None)
    if replacement is not None:
        weights[name] = replacement
    path = save(tmp_path / "damaged.pt", POST_NORM, weights)

    with pytest.raises(InputError, match=f"damaged.pt: .*{message}") as caught:
        FairseqBackend(read_checkpoint(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_name": "data2vec_audio"}, "model 'data2vec_audio'"),
        ({"_name": "wav2vec2"}, "not those of the Wav2Vec2Model"),
        ({"_name": "wav2vec2", "quantize_targets": True, "latent_vars": 10**9}, "latent_vars says 2000000000"),
        ({"_name": "hubert_ctc"}, "w2v_args"),
        ({"activation_fn": "no such thing"}, "no such thing"),
        ({"encoder_attention_heads": 5}, "builds no HubertModel"),
        ({"encoder_layers": 10_000_000}, "encoder_layers says 10000000"),
        ({"encoder_embed_dim": 1_000_000}, "encoder_embed_dim says 1000000"),
        ({"conv_feature_layers": "[(1000000,10,5)]"}, "conv_feature_layers says 1000000"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_refuses_a_config_that_makes_no_such_model(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = save(tmp_path / "odd.pt", {**POST_NORM, **changes}, build_by_hand(POST_NORM).state_dict())

    with pytest.raises(InputError, match=f"odd.pt: .*{message}") as caught:
        FairseqBackend(read_checkpoint(path))
    assert "\n" not in str(caught.value)


def test_the_convolutions_are_not_evaluated(tmp_path: Path) -> None:
    """fairseq itself calls eval() on this entry."""
    created = tmp_path / "created"
    config = {**POST_NORM, "conv_feature_layers": f"[(8,10,5)] if open({str(created)!r}, 'w') else [(8,10,5)]"}
    path = save(tmp_path / "hostile.pt", config, build_by_hand(POST_NORM).state_dict())

    with pytest.raises(InputError, match="conv_feature_layers"):
        FairseqBackend(read_checkpoint(path))
    assert not created.exists()


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise {error}
sys.meta_path.insert(0, Blocker())
from aves_artifacts.base.errors import InputError
from aves_verify.backends.fairseq_import import import_hubert
for attempt in range(2):
    try:
        import_hubert()
    except InputError as error:
        print(error)
"""


@pytest.mark.slow
def test_says_how_to_install_what_is_missing() -> None:
    error = "ModuleNotFoundError('No module named fairseq', name='fairseq')"
    first, second = run_python(BLOCKED.format(module="fairseq", error=error)).splitlines()

    assert first == second
    assert first.startswith("fairseq is not installed")
    assert "uv pip install 'aves-ports[fairseq]'" in first
    assert "`backends` torchaudio,onnx" in first


@pytest.mark.slow
def test_says_why_it_does_not_import_and_says_it_again() -> None:
    error = "RuntimeError('first line\\nthe last line')"
    first, second = run_python(BLOCKED.format(module="fairseq.criterions.hubert_criterion", error=error)).splitlines()

    assert first == second
    assert first.startswith("fairseq is installed but does not import: RuntimeError: the last line; ")
    assert "`backends` torchaudio,onnx" in first


def test_names_the_pythons_that_it_imports_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_name: str) -> None:
        raise ImportError("typing.io")

    monkeypatch.setattr(importlib, "import_module", fail)
    monkeypatch.setattr(fairseq_import, "_forget_half_imported", lambda: None)
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))

    with pytest.raises(InputError, match=r"on Python 3\.13 .* use Python 3\.10, 3\.11 or 3\.12; or .*`backends`"):
        import_hubert()


@pytest.mark.parametrize(("said", "told"), [("", "no message"), ("\n", "no message"), ("a\x1b[31m", r"a\\x1b\[31m")])
def test_what_an_import_says_is_printable(said: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_name: str) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(importlib, "import_module", fail)
    monkeypatch.setattr(fairseq_import, "_forget_half_imported", lambda: None)
    monkeypatch.setattr(sys, "version_info", (3, 12, 0))

    with pytest.raises(InputError, match=f"does not import: RuntimeError: {told}; install it afresh"):
        import_hubert()


@pytest.mark.slow
def test_importing_is_quiet_and_leaves_logging_alone() -> None:
    code = """
import dataclasses, logging, sys
original = dataclasses.dataclass
from aves_verify.backends.fairseq_import import import_hubert
hubert = import_hubert()
assert hubert.HubertModel.__module__ == "fairseq.models.hubert.hubert"
assert dataclasses.dataclass is original
assert logging.root.handlers == [] and logging.root.level == logging.WARNING and logging.root.manager.disable == 0
"""
    done = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_only_the_old_packages_get_the_old_rules() -> None:
    def declare(module: str, **options: bool) -> Any:
        return dataclasses.dataclass(**options)(type("X", (), {"__module__": module, "__annotations__": {"x": int}}))

    with old_dataclass_rules():
        old = declare("omegaconf.base")
        new = declare("omegaconfig")
        frozen = declare("fairseq", frozen=True)

    assert hash(frozen(1)) == hash(frozen(1))
    with pytest.raises(TypeError, match="unhashable"):
        hash(new(1))
    if sys.version_info >= (3, 11):  # Python 3.10 needs no help
        assert hash(old(1)) == hash(old(1))


def test_the_new_rules_are_back_after_an_error() -> None:
    original = dataclasses.dataclass

    def fail() -> None:
        with old_dataclass_rules():
            assert (dataclasses.dataclass is original) == (sys.version_info < (3, 11))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert dataclasses.dataclass is original
