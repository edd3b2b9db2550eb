"""Loading a bundle's files as a user would, and comparing them with what the manifest says.

torch, onnx and ONNX Runtime are given a stranger's files: ``check`` calls what loads them in a process of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import cut_off, printable, quoted
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.bundle.graph_contents import problems_of_graph
from aves_artifacts.bundle.manifest import EncoderFacts, LedgerEntry, Manifest, Role
from aves_artifacts.bundle.transformers_contents import problems_of_folder
from aves_artifacts.bundle.weights import Weights, read_copy, read_state_dict, same_bits, sha256_as
from aves_artifacts.encoder import EncoderConfig, encoder_shapes

_CENTROIDS = "centroids.layer."  # what a name begins with that no checkpoint has
_MOST_TOLD = 5  # problems of one kind told one by one; the rest is counted
_READERS: dict[Role, Callable[[Path], Weights]] = {"torchaudio": read_state_dict, "safetensors": read_copy}
Found = list[tuple[Role, str]]  # the file, and a sentence that begins with its name


def config_problems(config: EncoderConfig, manifest: Manifest) -> Iterator[str]:
    """Tell where the config file and the manifest's facts of the encoder differ."""
    if config != manifest.config:
        yield "does not hold the config that the manifest has"
    says = manifest.encoder
    found = EncoderFacts.of(config, sample_rate=says.sample_rate, normalize=says.normalize)
    for name, value in asdict(found).items():
        if getattr(says, name) != value:
            yield f"gives {name} {value}, the manifest says {getattr(says, name)}"


def tensor_problems(bundle: Bundle, config: EncoderConfig, roles: tuple[Role, ...]) -> Found:
    """Tell what is wrong with the weights: with the state dict if it is among ``roles``, else with the copy."""
    problems: Found = []
    found: dict[Role, Weights] = {}
    for role in roles:
        path = bundle.path(role)
        try:
            found[role] = _READERS[role](path)
        except InputError as error:
            problems += [(role, problem) for problem in error.problems]
    for role, weights in list(found.items())[:1]:
        problems += [(role, problem) for problem in _weights_problems(weights, config, bundle.manifest)]
    if found.keys() == _READERS.keys():
        problems += [("safetensors", problem) for problem in _copy_problems(found["safetensors"], found["torchaudio"])]
    return problems


def head_problems(bundle: Bundle) -> Found:
    """Tell where the heads are not the source's, whose hashes the ledger has; centroids have none, and only a form."""
    dropped = [entry for entry in bundle.manifest.ledger if entry.action == "dropped" and entry.source is not None]
    try:
        heads = read_copy(bundle.path("heads"))
    except InputError as error:
        return [("heads", problem) for problem in error.problems]
    problems = []
    for name, tensor in heads.items():
        same = (entry for entry in dropped if entry.source == name or str(entry.source).endswith(f".{name}"))
        entry = next(same, None)
        if name.startswith(_CENTROIDS):
            if tensor.dtype != "float32" or tensor.shape[1:] != (bundle.manifest.encoder.dimension,):
                problems.append(f"has {printable(name)} of {tensor.dtype} {list(tensor.shape)}")
        elif entry is None:
            problems.append(f"has {printable(name)}, which the ledger does not account for")
        elif tensor.shape != entry.shape or sha256_as(tensor, entry.dtype) != entry.sha256:
            problems.append(f"has another {printable(name)} than the source, whose hash the ledger has")
    return [("heads", problem) for problem in _listed(problems)]


def graph_problems(bundle: Bundle, role: Role, run: bool) -> Found:
    """Tell why onnx, or with ``run`` ONNX Runtime, refuses the graph, or where it contradicts the manifest."""
    return [(role, problem) for problem in problems_of_graph(bundle, role, run)]


def folder_problems(bundle: Bundle, roles: tuple[Role, ...], reference: Role | None = None) -> Found:
    """Tell where these files of the folder for transformers are not what the others hold: those of ``reference``."""
    try:
        held = None if reference is None else _READERS[reference](bundle.path(reference))
    except InputError:  # it is told of that file itself
        held = None
    found = list(problems_of_folder(bundle, roles, held))
    return [(role, told) for role in roles for told in _listed([problem for each, problem in found if each == role])]


def _weights_problems(weights: Weights, config: EncoderConfig, manifest: Manifest) -> Iterator[str]:
    """Tell why the weights do not fit the model, or are not what the manifest says was taken from the checkpoint."""
    problems = list(_shape_problems(weights, config))
    yield from _listed(problems or list(_ledger_problems(weights, manifest.ledger)))


def _copy_problems(copy: Weights, weights: Weights) -> Iterator[str]:
    """Tell where the safetensors copy differs from the TorchAudio weights by a single bit."""
    problems = [f"lacks {printable(str(name))}" for name in weights if name not in copy]
    problems += [f"has {printable(name)}, which the state dict has not" for name in sorted(copy) if name not in weights]
    problems += [
        f"has another {printable(name)} than the state dict"
        for name, tensor in weights.items()
        if name in copy and not same_bits(copy[name], tensor)
    ]
    yield from _listed(problems)


def _shape_problems(weights: Weights, config: EncoderConfig) -> Iterator[str]:
    if config.encoder_num_layers > len(weights):  # and no time is spent on a config with an absurd number
        yield f"has fewer tensors than the config has layers ({config.encoder_num_layers})"
        return
    expected = encoder_shapes(config)
    yield from (f"lacks {name}" for name in expected if name not in weights)
    yield from (f"has {quoted(name)}, which the model has not" for name in weights if name not in expected)
    for name, shape in expected.items():
        found = weights.get(name)
        if found is not None and tuple(found.shape) != shape:
            yield f"has {name} of shape {list(found.shape)}, expected {list(shape)}"
        elif found is not None and found.dtype != "float32":
            yield f"has {name} in {found.dtype}, expected float32"


def _ledger_problems(weights: Weights, ledger: tuple[LedgerEntry, ...]) -> Iterator[str]:
    """Every tensor that the ledger does not account for, or that is not the source's, whose hash the ledger has."""
    targets = Counter(entry.target for entry in ledger if entry.action != "dropped")
    yield from (f"has {name}, which the ledger does not account for" for name in weights if name not in targets)
    for name, count in targets.items():
        if name not in weights:
            yield f"lacks {printable(str(name))}, which the ledger accounts for"
        if count > 1:
            yield f"has one {printable(str(name))}, for which the ledger has {count} entries"
    for entry in ledger:
        tensor = weights.get(entry.target) if entry.action == "mapped" and entry.target is not None else None
        if tensor is None:
            continue
        if tensor.shape != entry.shape or sha256_as(tensor, entry.dtype) != entry.sha256:
            yield f"has another {entry.target} than the source, whose hash the ledger has"


def _listed(problems: list[str]) -> Iterator[str]:
    told, left = cut_off(problems, _MOST_TOLD)
    yield from told
    if left:
        yield f"has {left} more problems of this kind"
