"""Comparing what a port's files say of themselves with the original: users prepare their sound by it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import listed, printable, quoted
from aves_artifacts.bundle.graph_contract import onnx_metadata
from aves_artifacts.bundle.manifest import EncoderFacts, Manifest
from aves_artifacts.bundle.outputs import Output, known_outputs
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.documents import parse_json
from aves_artifacts.files.graph_metadata import contradictions
from aves_artifacts.files.graph_types import port_of_graph
from aves_convert.sounds.clip import SAMPLE_RATE
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.recorded import RecordedBackend
from aves_verify.backends.separate import SeparateBackend
from aves_verify.backends.transformers_model import TransformersBackend
from aves_verify.loading.load import Loaded

# What a graph's metadata can say that follows from the original; its licence and its maker do not.
_FACTS = ("sample_rate", "hop", "receptive_field", "dimension", "normalize")

# What is compared or is nobody's setting: how the graph was written, which its own numbers tell.
_KNOWN = frozenset(
    (
        *_FACTS, "attention", "channel_axis", "converter", "exporter", "layers", "outputs", "precision",
        "source_sha256", "weights", "wide",
    )
)  # fmt: skip
_KNOWN_TO_MANIFEST = _KNOWN | {"configuration", "licence"}
_MOST_TOLD = 5

_NORMALISED = (
    "transformers: it was given waveforms normalised as fairseq does; its own feature extractor adds 1e-7 to their "
    "variance instead of 1e-5, so that sounds of an RMS below 0.03 come out otherwise"
)


def description_problems(loaded: Loaded, sha256: Mapping[str, str], manifest: Manifest | None = None) -> Iterator[str]:
    """Tell everything that a file says of itself and that is not so.

    ``sha256``: of the files, by backend; ``manifest``: of the bundle that they are of.
    """
    if loaded.ported_config is not None:
        yield from _config_problems(loaded.ported_config, loaded.config)
    if manifest is not None:
        yield from _manifest_problems(manifest, loaded)
    for onnx in graphs_of(loaded):
        yield from _metadata_problems(onnx, loaded, sha256.get("fairseq"))
        says = {} if manifest is None else {"configuration": manifest.name, "licence": manifest.licence or "unknown"}
        for name, value in says.items():
            found = onnx.metadata.get(name)
            if found not in (None, "unknown", value):
                yield f"{onnx.name}: {onnx.path} says {name} {quoted(found)}, the manifest {quoted(value)}"
        for name, values in contradictions(onnx.path):
            told = listed(list(map(quoted, values)), _MOST_TOLD)
            yield f"{onnx.name}: {onnx.path} says several things of {quoted(name)}: {told}"
        yield from (f"{onnx.name}: {onnx.path} {problem}" for problem in _number_problems(onnx))


def _manifest_problems(manifest: Manifest, loaded: Loaded) -> Iterator[str]:
    """What people and programs read of a bundle before its files: all of it follows from the original."""
    says = manifest.encoder
    right = EncoderFacts.of(loaded.config, sample_rate=SAMPLE_RATE, normalize=says.normalize)  # told with the waveform
    pairs = [(name, getattr(says, name), value) for name, value in asdict(right).items()]
    pairs += [(name, manifest.config.kwargs()[name], value) for name, value in loaded.config.kwargs().items()]
    for name, found, expected in pairs:
        if found != expected:
            told, right_one = (str(v) if isinstance(v, tuple) else quoted(v) for v in (found, expected))
            yield f"manifest: it says {name} {told}, the original {right_one}"


def _output_problems(onnx: OnnxBackend, loaded: Loaded) -> Iterator[str]:
    """Of which layer, how wide and of which labels the file says that its outputs are; users choose by it."""
    if (said := onnx.metadata.get("outputs")) is None:
        return
    expected = [_known_of(output, loaded) for output in dict.fromkeys(known_outputs(onnx.gives))]
    try:
        found = parse_json(said)
    except ValueError:
        found = None
    entries = found if isinstance(found, list) and all(isinstance(entry, dict) for entry in found) else []
    if [entry.get("name") for entry in entries] != [entry["name"] for entry in expected] or any(
        entry.get(key, entries) != value
        for entry, right in zip(entries, expected, strict=True)
        for key, value in right.items()
    ):
        told = f"{onnx.name}: {onnx.path} says outputs {quoted(said)}"
        yield f"{told}, the original {quoted(json.dumps(expected, ensure_ascii=False))}"


def _known_of(output: Output, loaded: Loaded) -> dict[str, Any]:
    """What must be said of an output, as far as it is known: a recording has no heads, a port no names of labels."""
    if not loaded.heads.has(output):
        return {"name": output.name, "layer": output.layer}
    record = asdict(loaded.heads.record(output, loaded.config))
    return record if loaded.has_original else {key: value for key, value in record.items() if key != "label_set"}


def description_notes(loaded: Loaded, manifest: Manifest | None = None) -> Iterator[str]:
    """Tell what a file says or gives that could not be compared with anything, and what was not looked into."""
    yield from loaded.notes
    graphs = graphs_of(loaded)
    if loaded.normalize and any(isinstance(backend, TransformersBackend) for backend in loaded.backends):
        yield _NORMALISED
    for backend in loaded.backends[1:]:
        if isinstance(backend, SeparateBackend) and backend not in graphs:
            yield f"{backend.name}: only its outputs were compared: what it computes on the way cannot be read"
    if loaded.exact is None:
        yield f"how exact {loaded.reference} is was not measured: without its weights there is nothing to measure it by"
    if (fixed := fixed_samples(loaded)) is not None:
        yield f"every sound was cut to {fixed} samples or repeated up to them: a port takes no other number"
    if loaded.heads.centroids and not loaded.centroids_given:
        yield "units: the centroids are those of the ports themselves: no file of them was given"
    for onnx in graphs:
        yield from (f"{onnx.name}: {note}" for note in _graph_notes(onnx, loaded, manifest))


# The precision and the weights that a graph of each kind says that it was written with.
_WRITTEN = {
    "onnx": (("float32", "mixed"), ("float32",)),
    "onnx.float16-weights": (("float32", "mixed"), ("float16",)),
    "onnx.float16": (("float16",), ("float32", "float16")),
    "onnx.int8": (("int8",), ("float32", "float16")),
}


def _number_problems(onnx: OnnxBackend) -> Iterator[str]:
    """Whether a smaller graph holds numbers of its kind; and of a graph of ours, what it says of its own numbers."""
    made = port_of_graph(onnx.path)
    if onnx.is_reduced and made != onnx.name:
        yield f"holds numbers as {made} does, not as {onnx.name}"
    if onnx.metadata.get("exporter") not in ("graph", "torch") or "precision" not in onnx.metadata:
        return
    said = (onnx.metadata["precision"], onnx.metadata.get("weights", "float32"))
    for what, value, right in zip(("precision", "weights"), said, _WRITTEN[made], strict=True):
        if value not in right:
            yield f"says {what} {quoted(value)}, and holds {' or '.join(right)}"


def _graph_notes(onnx: OnnxBackend, loaded: Loaded, manifest: Manifest | None) -> Iterator[str]:
    if onnx.fixed_batch not in (None, 1):
        yield f"what is inside was not looked at: it takes {onnx.fixed_batch} waveforms at once"
    if not onnx.is_known:
        yield "what is inside was looked at on CPUExecutionProvider"
    for name in onnx.unknown_outputs:
        yield f"the output {quoted(name)} was not compared: nothing of the original has this name"
    reference = loaded.backends[0]
    if onnx.gives_layers and isinstance(reference, RecordedBackend) and reference.about.layers != "all":
        yield "its layers were not compared: only the last one was recorded"
    known = _KNOWN if manifest is None else _KNOWN_TO_MANIFEST
    if unknown := [printable(name) for name in sorted(onnx.metadata) if name not in known]:
        yield f"what the file says of {listed(unknown, _MOST_TOLD)} was not compared with anything"
    if "source_sha256" in onnx.metadata and loaded.has_original and loaded.reference == "transformers":
        yield "what the file says of its source was not compared: it may be a checkpoint of the same weights"
    if "normalize" in onnx.metadata and not loaded.has_original:
        yield "what the file says of normalize was not compared: there is no original to ask"
    if onnx.is_reduced and not loaded.has_original:
        yield "its weights were held against those of the TorchAudio port: there is no original"
    elif onnx.is_reduced and onnx.name not in loaded.reduced:
        yield "its weights were not compared: a recording has none"


def fixed_samples(loaded: Loaded) -> int | None:
    """How many samples a waveform must have, where a port takes no other number.

    Raises InputError where two ports want different ones, as no sound fits both, and where a recording is what they are
    held against: that has answers for sounds as they are.
    """
    ports = [port for port in loaded.backends if isinstance(port, SeparateBackend)]
    known = {port.name: port.fixed_samples for port in ports if port.fixed_samples is not None}
    if len(set(known.values())) > 1:
        told = ", ".join(f"{name} takes {samples} samples" for name, samples in known.items())
        raise InputError(f"no sound fits all ports: {told}; verify them apart", hint="name one of them in {backends}")
    fixed = next(iter(known.values()), None)
    if fixed is not None and isinstance(recording := loaded.backends[0], RecordedBackend):
        raise InputError(
            f"{recording.path}: was recorded of sounds as they are, and {', '.join(known)} takes {fixed} samples "
            "alone; give the original itself"
        )
    return fixed


def onnx_of(loaded: Loaded) -> OnnxBackend | None:
    """The ONNX port that is held to rounding, where it is among those compared; else a smaller one, or None."""
    return next(iter(graphs_of(loaded)), None)


def graphs_of(loaded: Loaded) -> list[OnnxBackend]:
    """The ONNX ports, the one that is held to rounding first."""
    return [backend for backend in loaded.backends if isinstance(backend, OnnxBackend)]


def _config_problems(ported: EncoderConfig, original: EncoderConfig) -> Iterator[str]:
    """Dropout and layer drop show in no output, and are what fine-tuning from the config starts with."""
    if ported.architecture_entries() != original.architecture_entries():
        return  # told with the weights
    for name, expected in original.kwargs().items():
        found = ported.kwargs()[name]
        if found != expected:
            yield f"torchaudio: the config says {name} {found}, the original {expected}"


def _metadata_problems(onnx: OnnxBackend, loaded: Loaded, source: str | None) -> Iterator[str]:
    expected = onnx_metadata(
        loaded.config,
        name="",
        normalize=loaded.normalize,
        sample_rate=SAMPLE_RATE,
        source_sha256=source or "",
        licence="",
    )
    yield from _output_problems(onnx, loaded)
    names = [name for name in _FACTS if name != "normalize" or loaded.has_original]
    for name in (*names, *(["source_sha256"] if source else [])):
        found = onnx.metadata.get(name)
        if found not in (None, "unknown", expected[name]):
            yield f"{onnx.name}: {onnx.path} says {name} {quoted(found)}, the original {quoted(expected[name])}"
