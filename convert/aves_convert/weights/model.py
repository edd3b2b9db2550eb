"""Building torchaudio's ``wav2vec2_model``, also where torchaudio's compiled extension does not import.

A released torchaudio is built for one torch and one CUDA. Beside a newer torch it raises "compiled with different
CUDA versions", beside a CPU-only torch it misses ``libc10_cuda.so``. Its wav2vec2 model is pure Python and needs no
extension.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode

from aves_artifacts.base.errors import InputError, raise_if_any
from aves_artifacts.base.extras import need
from aves_artifacts.base.messages import first_line
from aves_artifacts.encoder import EncoderConfig
from aves_convert.weights.state_dict import misfit, old_weight_norm_name

if TYPE_CHECKING:
    from torchaudio.models import Wav2Vec2Model


def import_torchaudio() -> ModuleType:
    """Import torchaudio, without its compiled extension where that one does not load.

    Raises InputError where torchaudio is missing or fails for another reason.
    """
    need("the TorchAudio model", "verify", modules=("torchaudio",))
    if "torchaudio" in sys.modules:
        return sys.modules["torchaudio"]
    try:
        import torchaudio
    except (RuntimeError, OSError, ImportError):
        torchaudio = _import_without_extension()
    return torchaudio  # type: ignore[no-any-return]


def build_model(config: EncoderConfig) -> Wav2Vec2Model:
    """Build the TorchAudio model of this geometry in evaluation mode; its weights are not initialised."""
    models = import_torchaudio().models
    with Uninitialised():
        model = models.wav2vec2_model(**config.kwargs())
    return model.eval()


def load_model(
    config: EncoderConfig, state_dict: Mapping[str, NDArray[Any] | torch.Tensor], *, dtype: torch.dtype = torch.float32
) -> Wav2Vec2Model:
    """The TorchAudio model with copies of these weights, loaded strictly, in evaluation mode.

    Raises InputError where tensors are missing, unknown or misshapen.
    """
    problems = misfit(config, {name: tuple(tensor.shape) for name, tensor in state_dict.items()})
    raise_if_any(problems, "the weights do not fit the config")
    model = build_model(config)
    # every torch from 2.0 on reads the old names
    tensors = {
        old_weight_norm_name(name): torch.as_tensor(tensor).to(dtype, copy=True).contiguous()
        for name, tensor in state_dict.items()
    }
    fill(model, tensors)
    return model


def fill(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put tensors into a model, strictly, in their own type; it keeps these very ones where torch can do that."""
    if "assign" in inspect.signature(model.load_state_dict).parameters:  # from torch 2.1 on
        model.load_state_dict(tensors, strict=True, assign=True)
    else:
        dtype = next(iter(tensors.values())).dtype
        model.to(dtype).load_state_dict(tensors, strict=True)


def _import_without_extension() -> ModuleType:
    """Import torchaudio with a stand-in for ``torchaudio._extension`` that says "not available"."""
    for name in [n for n in sys.modules if n == "torchaudio" or n.startswith("torchaudio.")]:
        del sys.modules[name]
    sys.modules["torchaudio._extension"] = _NoExtension("torchaudio._extension")
    try:
        import torchaudio
    except (RuntimeError, OSError, ImportError) as error:
        raise InputError(
            f"torchaudio does not import beside torch {torch.__version__}: {first_line(error)}; "
            "install the two in versions that belong together"
        ) from error
    return torchaudio  # type: ignore[no-any-return]


class Uninitialised(TorchFunctionMode):
    """Leaves weights as they were allocated: initialising 95 million to overwrite takes longer than loading.

    Not the ``meta`` device, on which weight norm imports torch's compiler: 2 s and 150 MB.
    """

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


class _NoExtension(ModuleType):
    """What ``torchaudio._extension`` is on a machine where the extension was not built."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name.startswith("fail_if"):  # decorators of functions that need the extension
            return _unavailable
        return False  # the flags _IS_..._AVAILABLE


def _unavailable(function: Callable[..., Any]) -> Callable[..., Any]:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError(
            f"torchaudio.{function.__name__} needs torchaudio's compiled extension, which does not load here"
        )

    return fail
