"""Running a folder of transformers: its own HubertModel or Wav2Vec2Model, with the weights that we read ourselves.

The class and its settings are transformers'; that ``from_pretrained`` makes the same of the folder is found out apart
(``aves_verify.loading.folder_as_documented``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError, raise_if_any
from aves_artifacts.base.messages import first_line, printable
from aves_artifacts.bundle.outputs import FINAL, LOGITS, Output, layer_name
from aves_artifacts.encoder import encoder_shapes
from aves_artifacts.files.documents import parse_json, read_file
from aves_artifacts.hugging_face.config import WITH_PROJECTION, FolderConfig, folder_config
from aves_artifacts.hugging_face.names import MASK, VOCABULARY, torchaudio_names, transformers_name
from aves_convert.checkpoint.architecture import architecture
from aves_convert.checkpoint.of_folder import checkpoint_of_folder
from aves_convert.hugging_face.folder import Folder, open_folder
from aves_convert.weights.heads import NO_HEADS, Heads
from aves_convert.weights.ledger import account
from aves_convert.weights.model import Uninitialised, fill, import_torchaudio
from aves_convert.weights.torch_heads import TorchHeads
from aves_verify.backends.backend import Embeddings, Given, RunError

ATTENTIONS = ("eager", "sdpa")  # the ways there are on a processor; sdpa from 4.41 on
DEFAULT_ATTENTION = "default"  # the one that the installed version takes by itself


def load(given: Given) -> TransformersBackend:
    """Load a folder. Raises InputError, also for tensors that nobody can account for."""
    folder = open_folder(given.path)
    checkpoint = checkpoint_of_folder(folder)
    arch = architecture(checkpoint)
    account(checkpoint, arch, encoder_shapes(arch.config))
    return TransformersBackend(folder, given.options.get("attention", DEFAULT_ATTENTION), heads=given.heads)


def check(options: Mapping[str, str]) -> None:
    """Raise InputError for a way of attention that is not known."""
    known = (DEFAULT_ATTENTION, *ATTENTIONS)
    if options["attention"] not in known:
        raise InputError(
            f"transformers: attention is {printable(options['attention'])}, expected one of {', '.join(known)}"
        )


def import_transformers() -> Any:
    """Import transformers, quietly. Raises InputError where it is there and does not import."""
    import_torchaudio()  # it imports that too, and fails where its extension does
    try:
        import transformers
        from transformers.utils import logging
    except Exception as error:  # whatever an installation of two libraries that do not fit raises
        raise InputError(f"transformers does not import here: {type(error).__name__}: {first_line(error)}") from None
    logging.disable_progress_bar()
    return transformers


class TransformersBackend:
    """A model of transformers in evaluation mode, in float32, with exactly the weights of a folder."""

    name = kind = "transformers"

    def __init__(
        self,
        folder: Folder,
        attention: str = DEFAULT_ATTENTION,
        weights: Mapping[str, torch.Tensor] | None = None,
        heads: Heads = NO_HEADS,
    ) -> None:
        """Raise InputError where the installed version does not make the model of these settings and weights.

        ``weights``: those of another model of this folder, to be shared with it; by default they are read. ``heads``:
        of an original, what its users make of its outputs.
        """
        library = import_transformers()
        check({"attention": attention})
        self.version: str = library.__version__
        self.path, self.folder = folder.path, folder
        self._heads, self._torch_heads = heads, TorchHeads(heads)
        self.model = _model(library, folder, attention)
        fill(self.model, _tensors(self.model, folder) if weights is None else weights)
        self.settings = {"attention": str(getattr(self.model.config, "_attn_implementation", attention))}

    @property
    def gives(self) -> tuple[str, ...]:
        """The names of all outputs that it can give."""
        layers, heads = range(self.folder.config.encoder.encoder_num_layers), self._heads
        names = [FINAL, *map(layer_name, layers), *([LOGITS] if self._has_head else [])]
        names += [output.name for i in (None, *layers) for output in heads.projections_of(i)]
        return (*names, *(Output("units", i).name for i in heads.centroids))

    @property
    def other_way(self) -> str:
        """What ``otherwise`` does otherwise, in words; empty where this version has one way alone."""
        return f"attention {self._other_attention}" if self._other_attention else ""

    @property
    def _other_attention(self) -> str:
        """Old versions compute it in one way, which they do not call by a name of its own."""
        known = ATTENTIONS if getattr(type(self.encoder), "_supports_sdpa", False) else ATTENTIONS[:1]
        return next((way for way in known if way != self.settings["attention"]), "")

    @cached_property
    def otherwise(self) -> TransformersBackend:
        """Another model with these very weights, in which attention is computed in the other way."""
        return TransformersBackend(self.folder, self._other_attention, self.model.state_dict(), self._heads)

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        """See ``Encoder.run``. "final" is ``last_hidden_state``, "layer.0" the second of ``hidden_states``.

        The last of a pre-norm encoder's ``hidden_states`` has the last norm in it; "layer.N" has not, as in fairseq.
        """
        caught: dict[str, torch.Tensor] = {}
        try:
            with torch.inference_mode(), self._caught(caught):
                found = self.model(torch.from_numpy(waveform.copy()), output_hidden_states=layers, return_dict=True)
        except Exception as error:  # a waveform that is too short for it, or whatever a version makes of a setting
            shape = list(waveform.shape)
            raise RunError(f"transformers fails on a waveform {shape}: {first_line(error)}") from None
        outputs = {FINAL: caught[FINAL]}
        states = dict(enumerate((*found.hidden_states[1:-1], caught["last"]))) if layers else {}
        outputs |= {layer_name(i): state for i, state in states.items()}
        outputs |= self._torch_heads.outputs(caught[FINAL], states)
        if self._has_head:
            outputs[LOGITS] = found.logits
        return {name: tensor.contiguous().numpy() for name, tensor in outputs.items()}

    @contextmanager
    def _caught(self, caught: dict[str, torch.Tensor]) -> Iterator[None]:
        """Keep what the encoder gives, which a model with a head does not hand out, and the last layer's output."""
        encoder = self.encoder
        hooks = [
            encoder.register_forward_hook(lambda _m, _i, out: caught.update({FINAL: out[0]})),
            encoder.encoder.layers[-1].register_forward_hook(
                lambda _m, _i, out: caught.update(last=out[0] if isinstance(out, tuple) else out)
            ),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @property
    def mask(self) -> str:
        """What the embedding of masked frames is called in the model."""
        return self._prefix + MASK

    @property
    def lacks_mask(self) -> bool:
        """Whether the files have no such embedding, which the library then makes up."""
        return self.folder.config.prefix + MASK not in self.folder.tensors

    @property
    def left_out(self) -> frozenset[str]:
        """The tensors of the files that belong to another class, which has more than this one."""
        mapping = torchaudio_names(self.folder.config.encoder, self.folder.config.prefix, self.folder.tensors)
        return frozenset(self.folder.tensors.keys() - mapping.keys() - {self.folder.config.prefix + MASK})

    @property
    def expected_beside(self) -> frozenset[str]:
        """Tensors of a class that transformers has not, and whose users know that ``HubertModel`` tells of them."""
        return self.left_out if self.folder.config.model_class == WITH_PROJECTION else frozenset()

    @cached_property
    def letters(self) -> dict[str, int] | None:
        """What ``vocab.json`` says of the head's rows; None where there is no head, or no such file."""
        path = self.path / VOCABULARY
        if not self._has_head or not path.is_file():
            return None
        try:
            found = parse_json(read_file(path))
        except (OSError, ValueError):
            return {}
        return {letter: row for letter, row in found.items() if type(row) is int} if isinstance(found, dict) else {}

    @property
    def probe_rows(self) -> tuple[int, ...]:
        """Rows of the head that stand for single letters and digits, to be decoded."""
        return tuple(row for letter, row in (self.letters or {}).items() if len(letter) == 1 and letter.isalnum())[:8]

    @property
    def encoder(self) -> Any:
        """The model without a head."""
        return getattr(self.model, self.folder.config.model_type) if self._has_head else self.model

    @property
    def _has_head(self) -> bool:
        return self.folder.config.encoder.aux_num_out is not None

    @property
    def _prefix(self) -> str:
        return as_run(self.folder.config).prefix

    def module_of(self, site: str) -> str:
        """What the module is called here that torchaudio's model calls ``site``."""
        is_module = site.startswith(("feature_extractor.", "encoder.", "aux"))
        return transformers_name(f"{site}.", self._prefix).removesuffix(".") if is_module else site


def as_run(config: FolderConfig) -> FolderConfig:
    """The class that is run: the one for letters, or of a model with another head its encoder alone."""
    return folder_config(config.encoder, config.model_type)


def _model(library: Any, folder: Folder, attention: str) -> Any:
    settings: Any = {} if attention == DEFAULT_ATTENTION else {"attn_implementation": attention}
    auto = library.AutoModel if folder.config.encoder.aux_num_out is None else library.AutoModelForCTC
    try:
        entries = library.AutoConfig.from_pretrained(folder.path, local_files_only=True, trust_remote_code=False)
        with Uninitialised():
            model = auto.from_config(entries, **settings).eval().float()
    except Exception as error:  # whatever a version makes of settings that it does not know
        raise InputError(
            f"{folder.path}: transformers makes no {as_run(folder.config).model_class} of it: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from None
    return model


def _tensors(model: Any, folder: Folder) -> dict[str, torch.Tensor]:
    """Read the weights for a model, by its own names. Raises InputError with every reason why they do not fit."""
    config, wanted, nothing = folder.config, dict(model.state_dict()), None
    prefix, named = as_run(config).prefix, as_run(config).model_class
    theirs = {target: name for name, target in torchaudio_names(config.encoder, prefix, wanted).items()}
    mapping = torchaudio_names(config.encoder, config.prefix, folder.tensors)
    tensors = {theirs[target]: folder.tensors[name] for name, target in mapping.items() if name in folder.tensors}
    mask = folder.tensors.get(config.prefix + MASK)
    if mask is not None and prefix + MASK in wanted:
        tensors[prefix + MASK] = mask
    elif prefix + MASK in wanted:  # it masks nothing in evaluation; what from_pretrained makes of it is told apart
        nothing = torch.zeros_like(wanted.pop(prefix + MASK))
    problems = [f"lacks {name}, which {named} has" for name in wanted if name not in tensors]
    problems += [f"has {name}, which {named} has not" for name in tensors if name not in wanted]
    problems += [
        f"{name} is {list(tensor.shape)}, in {named} {list(wanted[name].shape)}"
        for name, tensor in tensors.items()
        if name in wanted and tensor.shape != tuple(wanted[name].shape)
    ]
    raise_if_any(problems, f"{folder.path}: not the tensors of {named}")
    found = {name: torch.from_numpy(tensor.float32().copy()) for name, tensor in tensors.items()}
    return found if nothing is None else {**found, prefix + MASK: nothing}
