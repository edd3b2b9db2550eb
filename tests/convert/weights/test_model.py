import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from aves_artifacts.base.errors import InputError
from aves_artifacts.encoder import EncoderConfig
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.weights.model import load_model
from aves_convert.weights.state_dict import old_weight_norm_name
from aves_convert.weights.to_torchaudio import TorchaudioPort, to_torchaudio


@pytest.fixture(scope="module")
def converted(tiny_checkpoint: Path) -> TorchaudioPort:
    return to_torchaudio(read_checkpoint(tiny_checkpoint))


@pytest.mark.slow
def test_a_model_is_built_without_initialising_it_and_without_the_compiler(converted: TorchaudioPort) -> None:
    program = f"""
    import sys
    import torch
    from aves_artifacts.encoder import EncoderConfig
    from aves_convert.weights.model import build_model
    state = torch.random.get_rng_state()
    model = build_model(EncoderConfig.from_json({converted.config.to_json()!r}))
    print(torch.equal(state, torch.random.get_rng_state()), "torch._dynamo" in sys.modules, model.training)
    """
    assert run(program) == "True False False"


def test_the_names_are_those_that_every_torch_reads(converted: TorchaudioPort) -> None:
    assert "encoder.transformer.pos_conv_embed.conv.weight_g" in converted.state_dict
    assert not any("parametrizations" in name for name in converted.state_dict)


def test_loading_takes_both_weight_norm_dialects(converted: TorchaudioPort) -> None:
    new = {
        name.replace("conv.weight_g", "conv.parametrizations.weight.original0").replace(
            "conv.weight_v", "conv.parametrizations.weight.original1"
        ): tensor
        for name, tensor in converted.state_dict.items()
    }
    assert set(new) != set(converted.state_dict)
    wave = torch.sin(torch.arange(2000.0))[None]
    with torch.inference_mode():
        outputs = [load_model(converted.config, weights)(wave)[0] for weights in (converted.state_dict, new)]
    assert torch.equal(*outputs)


def test_no_weight_is_left_as_it_was_allocated(converted: TorchaudioPort) -> None:
    model = load_model(converted.config, converted.state_dict)
    for name, tensor in model.state_dict().items():
        assert np.array_equal(tensor, converted.state_dict[old_weight_norm_name(name)])
    assert not list(model.buffers())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_are_copies_of_the_wanted_kind(converted: TorchaudioPort, dtype: torch.dtype) -> None:
    name = "encoder.feature_projection.projection.weight"
    given = {**converted.state_dict, name: converted.state_dict[name].copy()}
    model = load_model(converted.config, given, dtype=dtype)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {dtype}
    given[name][:] = 0
    assert np.array_equal(model.state_dict()[name], converted.state_dict[name])


def test_weights_that_do_not_fit_are_listed(converted: TorchaudioPort) -> None:
    weights = dict(converted.state_dict)
    weights["extra"] = weights.pop("encoder.transformer.layer_norm.bias")
    with pytest.raises(InputError) as caught:
        load_model(converted.config, weights)
    told = [problem.removeprefix("the weights do not fit the config: ") for problem in caught.value.problems]
    assert told == ["missing encoder.transformer.layer_norm.bias", "unknown extra"]


def run(program: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


BUILD = """
from aves_artifacts.encoder import EncoderConfig
from aves_convert.weights.model import build_model
config = EncoderConfig.from_json({config!r})
print(type(build_model(config)).__module__)
"""


@pytest.mark.slow
def test_an_extension_that_does_not_load_is_done_without(converted: TorchaudioPort) -> None:
    """Whatever is installed here, the first import of the extension fails as it does elsewhere."""
    program = """
    import sys
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "torchaudio._extension":
                raise OSError("libc10_cuda.so: cannot open shared object file: No such file or directory")
    sys.meta_path.insert(0, Broken())
    """
    output = run(textwrap.dedent(program) + BUILD.format(config=converted.config.to_json()))
    assert output.startswith("torchaudio.models.wav2vec2")


@pytest.mark.slow
def test_a_missing_torchaudio_is_told() -> None:
    program = """
    import sys
    sys.modules["torchaudio"] = None
    from aves_artifacts.base.errors import InputError
    from aves_convert.weights.model import import_torchaudio
    try:
        import_torchaudio()
    except InputError as error:
        print(error)
    """
    assert "torchaudio, not installed here; pip install 'aves-ports[verify]'" in run(program)


@pytest.mark.slow
def test_functions_that_need_the_extension_say_so() -> None:
    program = """
    import sys, torch
    from aves_convert.weights.model import _NoExtension
    extension = _NoExtension("torchaudio._extension")
    assert extension._IS_TORCHAUDIO_EXT_AVAILABLE is False
    try:
        extension.fail_if_no_align(print)()
    except RuntimeError as error:
        print(error)
    """
    assert "torchaudio.print needs torchaudio's compiled extension" in run(program)


def test_a_config_of_another_size_is_noticed(converted: TorchaudioPort) -> None:
    import dataclasses

    other: EncoderConfig = dataclasses.replace(converted.config, encoder_num_layers=3)
    with pytest.raises(InputError, match=r"missing encoder.transformer.layers.2"):
        load_model(other, converted.state_dict)
