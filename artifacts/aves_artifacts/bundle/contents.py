"""Loading a bundle's files as a user would, and comparing them with what the manifest says."""

from __future__ import annotations

import hashlib
import inspect
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import cut_off, first_line, listed, printable, quoted
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.bundle.graph_contract import EMBEDDINGS, WAVEFORM, stated
from aves_artifacts.bundle.manifest import EncoderFacts, LedgerEntry, Manifest
from aves_artifacts.encoder import EncoderConfig, encoder_shapes

if TYPE_CHECKING:
    import onnx
    import onnxruntime
    import torch

_MOST_TOLD = 5  # problems of one kind told one by one; the rest is counted
_FLOAT8 = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
_SOURCE_DTYPES = ("float64", "float16", "bfloat16", *_FLOAT8)


def config_problems(config: EncoderConfig, manifest: Manifest) -> Iterator[str]:
    """Tell where the config file and the manifest's facts of the encoder differ."""
    if config != manifest.config:
        yield "does not hold the config that the manifest has"
    says = manifest.encoder
    found = EncoderFacts.of(config, sample_rate=says.sample_rate, normalize=says.normalize)
    for name, value in asdict(found).items():
        if getattr(says, name) != value:
            yield f"gives {name} {value}, the manifest says {getattr(says, name)}"


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Load the TorchAudio state dict, mapped into memory where torch can do that, from 2.1 on.

    Raises InputError where torch does not load one, which runs nothing.
    """
    import torch

    mapped = {"mmap": True} if "mmap" in inspect.signature(torch.load).parameters else {}
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True, **mapped)
    except Exception as error:  # whatever torch makes of a file that it did not write
        raise InputError(f"does not load: {first_line(error)}") from None
    if type(weights) is not dict or not all(isinstance(tensor, torch.Tensor) for tensor in weights.values()):
        raise InputError("holds something else than a state dict")
    return weights


def weights_problems(weights: Mapping[str, torch.Tensor], config: EncoderConfig, manifest: Manifest) -> Iterator[str]:
    """Tell why the weights do not fit the model, or are not what the manifest says was taken from the checkpoint."""
    problems = list(_shape_problems(weights, config))
    yield from _listed(problems or list(_ledger_problems(weights, manifest.ledger)))


def copy_problems(path: Path, weights: Mapping[str, torch.Tensor]) -> Iterator[str]:
    """Tell where the safetensors copy differs from the TorchAudio weights by a single bit."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as copy:
            names = set(copy.keys())
            problems = [f"lacks {printable(str(name))}" for name in weights if name not in names]
            unknown = map(printable, sorted(names - set(weights)))
            problems += [f"has {name}, which the state dict has not" for name in unknown]
            problems += [
                f"has another {printable(name)} than the state dict"
                for name, tensor in weights.items()
                if name in names and not _same_bits(copy.get_tensor(name), tensor)
            ]
    except SafetensorError as error:
        problems = [f"does not load: {first_line(error)}"]
    yield from _listed(problems)


def graph_problems(bundle: Bundle) -> Iterator[str]:
    """Tell why onnx or ONNX Runtime refuses the graph, or where its metadata contradicts the manifest."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    path = bundle.path("onnx")
    try:
        graph = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        yield f"is no ONNX graph: {first_line(error)}"
        return
    data = bundle.manifest.files.get("onnx_data")
    outside = _files_outside(graph)
    del graph
    recorded = {data.name} if data else set()
    if outside != recorded:
        yield f"has weights in {_named(outside)}, the manifest records {_named(recorded)}"
        return
    try:
        onnx.checker.check_model(str(path))
        session = _session(str(path))
    except Exception as error:  # ONNX Runtime has a class of its own for each kind of failure
        yield f"is refused: {first_line(error)}"
        return
    yield from _contract_problems(session, bundle.manifest)


def _session(path: str) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # they double the memory
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _contract_problems(session: onnxruntime.InferenceSession, manifest: Manifest) -> Iterator[str]:
    """Inputs, outputs and metadata."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if [(value.name, value.type, len(value.shape)) for value in inputs] != [(WAVEFORM, "tensor(float)", 2)]:
        yield "does not take one waveform [batch, samples] float32"
    first = outputs[0]
    encoder = manifest.encoder
    if (first.name, first.type, first.shape[-1]) != (EMBEDDINGS, "tensor(float)", encoder.dimension):
        yield f"does not give embeddings of {encoder.dimension} numbers"
    says = session.get_modelmeta().custom_metadata_map
    expected = stated(
        configuration=manifest.name,
        sample_rate=encoder.sample_rate,
        hop=encoder.hop,
        receptive_field=encoder.receptive_field,
        dimension=encoder.dimension,
        normalize=encoder.normalize,
        licence=manifest.licence,
        source_sha256=manifest.source.sha256,
    )
    for name, value in expected.items():
        if says.get(name) != value:
            yield f"says {name} {quoted(says.get(name))}, the manifest {quoted(value)}"


def _named(files: set[str]) -> str:
    return f"[{listed([quoted(name) for name in sorted(files)], _MOST_TOLD)}]"


def _files_outside(model: onnx.ModelProto) -> set[str]:
    """Where the weights lie that are not in the file."""
    tensors = [tensor for tensor in model.graph.initializer if tensor.data_location == tensor.EXTERNAL]
    return {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}


def _shape_problems(weights: Mapping[str, torch.Tensor], config: EncoderConfig) -> Iterator[str]:
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
        elif found is not None and str(found.dtype) != "torch.float32":
            yield f"has {name} in {found.dtype}, expected float32"


def _ledger_problems(weights: Mapping[str, torch.Tensor], ledger: tuple[LedgerEntry, ...]) -> Iterator[str]:
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
        if tuple(tensor.shape) != entry.shape or _sha256_as(tensor, entry.dtype) != entry.sha256:
            yield f"has another {entry.target} than the source, whose hash the ledger has"


def _sha256_as(tensor: torch.Tensor, dtype: str) -> str:
    """Of a tensor's bytes in the dtype that it had in the source: to float32 and back, nothing is lost."""
    import torch

    stored = getattr(torch, dtype, torch.float32) if dtype in _SOURCE_DTYPES else torch.float32
    flat = _flat_bytes(tensor.to(stored))
    return hashlib.sha256(flat.numpy().data if flat.numel() else b"").hexdigest()


def _same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    import torch

    return (one.dtype, one.shape) == (other.dtype, other.shape) and torch.equal(_flat_bytes(one), _flat_bytes(other))


def _flat_bytes(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def _listed(problems: list[str]) -> Iterator[str]:
    told, left = cut_off(problems, _MOST_TOLD)
    yield from told
    if left:
        yield f"has {left} more problems of this kind"
