"""Converting a file to another format: fairseq to TorchAudio and ONNX, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError, raise_if_any
from aves_artifacts.bundle.graph_contract import onnx_metadata
from aves_artifacts.bundle.manifest import FILE_NAMES, stem_of
from aves_artifacts.bundle.outputs import layer_name
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.file_record import sha256_of, unchanged
from aves_artifacts.files.writing import staged
from aves_convert.checkpoint.architecture import Architecture, architecture
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.conversion.manifest import encodable_name, known_terms
from aves_convert.conversion.remarks import Tell, remarks, silent
from aves_convert.conversion.request import Source, Target, Terms
from aves_convert.graph.options import OnnxOptions
from aves_convert.reduction.bounds import Search
from aves_convert.torch_files.writer import write_torch_file
from aves_convert.weights.centroids import read_centroids
from aves_convert.weights.heads import NO_HEADS, Heads, heads_of, read_heads, write_heads
from aves_convert.weights.state_dict import read_state_dict
from aves_convert.weights.to_torchaudio import TorchaudioPort, to_torchaudio


def fairseq_to_torchaudio(source: Source, target: Target, *, tell: Tell = silent) -> list[Path]:
    """Convert a checkpoint, or a folder of transformers, to TorchAudio weights and their config; return the two paths.

    ``tell`` gets a line for everything that is out of the ordinary. Raises InputError.
    """
    names = [FILE_NAMES["torchaudio"].format(name=target.name), FILE_NAMES["config"].format(name=target.name)]
    with staged(target.folder, names, force=target.force) as staging, unchanged(*source.files):
        converted = taken(source, source.read(), tell)
        write_torchaudio_files(converted, staging, names)
    return [target.folder / name for name in names]


def fairseq_to_heads(source: Source, target: Target) -> Path:
    """Write what a TorchAudio port has no place for, projections and centroids, to ``NAME.heads.safetensors``.

    Returns its path. Raises InputError, also where the checkpoint has none of it and no centroids are given.
    """
    name = FILE_NAMES["heads"].format(name=target.name)
    with staged(target.folder, [name], force=target.force) as staging, unchanged(*source.files):
        checkpoint = source.read()
        arch = architecture(checkpoint, allow_unknown_config=source.allow_unknown_config)
        heads = converted_heads(source, checkpoint, arch)
        if not heads.tensors:
            raise InputError(f"{source.path}: has no projections and no label embeddings", hint="give {centroids}")
        write_heads(heads, staging / name)
    return target.folder / name


def fairseq_to_onnx(
    source: Source,
    out: Path,
    options: OnnxOptions = OnnxOptions(),
    terms: Terms = Terms(),
    *,
    force: bool = False,
    tell: Tell = silent,
    search: Search | None = None,
) -> Path:
    """Convert a fairseq checkpoint to the ONNX file ``out``; return its path.

    Weights of more than 2 GB lie beside it, in ``OUT.data``. The graph says the licence of ``terms``, by default what
    the catalogue has under the checkpoint's name. ``tell`` gets a line for everything that is out of the ordinary.
    With a ``search``, what it finds stays wide, and is written down beside the graph.
    Raises InputError, also where ``out`` is there without ``force``.
    """
    if search is not None:
        search.check(options)
    with staged(out.parent, _onnx_files(out), force=force) as staging, unchanged(*source.files):
        name = source.path.stem
        read = source.read()
        terms = terms.or_else(known_terms(name, read))
        converted = taken(source, read, tell)
        metadata = graph_metadata(converted, encodable_name(name), source.record().sha256, terms)
        heads = NO_HEADS  # what no output needs is not read: it may be damaged
        if options.outputs or source.centroids:
            heads = converted_heads(source, read, converted.architecture, options.units)
        if search is not None:
            normalize = converted.architecture.normalize
            options = _searched(
                converted.config, converted.state_dict, options, search, heads, out, normalize=normalize, force=force
            )
        write_onnx_file(converted.config, converted.state_dict, options, metadata, staging / out.name, heads)
    return out


def torchaudio_to_onnx(
    weights: Path,
    config: Path,
    out: Path,
    options: OnnxOptions = OnnxOptions(),
    terms: Terms = Terms(),
    *,
    heads: Path | None = None,
    centroids: Mapping[int | None, Path] = MappingProxyType({}),
    force: bool = False,
    search: Search | None = None,
) -> Path:
    """Convert TorchAudio weights to the ONNX file ``out``; return its path.

    ``weights`` may have either spelling of the weight norm, ``config`` is their model_config.json, ``heads`` the
    NAME.heads.safetensors with projections, ``centroids`` are those of units as in ``Source``. The graph says the
    licence of ``terms``, by default "unknown". A ``search`` is that of ``fairseq_to_onnx``, on waveforms as they are.
    Raises InputError, also where ``out`` is there without ``force``.
    """
    if search is not None:
        search.check(options)
    read = (weights, config, heads, *centroids.values())
    with staged(out.parent, _onnx_files(out), force=force) as staging, unchanged(*read):
        encoder = EncoderConfig.read(config)
        state_dict = read_state_dict(weights, encoder)
        metadata = onnx_metadata(
            encoder,
            name=encodable_name(stem_of(weights.name)),
            normalize=None,
            sample_rate=16_000,
            source_sha256=sha256_of(weights),
            licence=terms.licence or "",
        )
        stored = NO_HEADS if heads is None else read_heads(heads, encoder)
        stored = with_centroids(stored, centroids, encoder, options.units)
        if search is not None:
            options = _searched(encoder, state_dict, options, search, stored, out, normalize=False, force=force)
        write_onnx_file(encoder, state_dict, options, metadata, staging / out.name, stored)
    return out


def torchaudio_to_fairseq(
    weights: Path,
    config: Path,
    like: Path,
    out: Path,
    *,
    pretrained: Path | None = None,
    heads: Path | None = None,
    force: bool = False,
) -> tuple[str, ...]:
    """Write TorchAudio weights into a copy of the checkpoint ``like``; return remarks on it. Raises InputError."""
    from aves_convert.weights.to_fairseq import fairseq_port

    with staged(out.parent, [out.name], force=force) as staging, unchanged(weights, config, like, pretrained, heads):
        made = fairseq_port(weights, EncoderConfig.read(config), like, pretrained, heads)
        write_torch_file(made.contents, staging / out.name)
    return made.remarks


def converted_heads(source: Source, checkpoint: Checkpoint, arch: Architecture, units: Sequence[int] = ()) -> Heads:
    """Take the heads of a checkpoint, with the centroids for the ``units`` of these layers. Raises InputError."""
    heads = heads_of(checkpoint, arch, allow_non_finite=source.allow_non_finite)
    return with_centroids(heads, source.centroids, arch.config, units)


def with_centroids(
    heads: Heads, files: Mapping[int | None, Path], config: EncoderConfig, units: Sequence[int]
) -> Heads:
    """Add the centroids of these files, by layer; those under None go to every layer whose units are wanted.

    Raises InputError for a layer that there is not, and for centroids that nothing asks for.
    """
    count = config.encoder_num_layers
    absent = [layer for layer in files if layer is not None and not 0 <= layer < count]
    raise_if_any(
        [f"{layer_name(layer)}: this encoder has the layers 0 to {count - 1}" for layer in absent],
        "centroids of a layer",
    )
    everywhere = files.get(None)
    placed = {layer: everywhere for layer in units if layer not in files} if everywhere is not None else {}
    if everywhere is not None and not placed:
        raise InputError(f"{everywhere}: centroids of no layer", hint="name the layer: {centroids} layer.N=FILE")
    arrays = {path: read_centroids(path, config.encoder_embed_dim) for path in set(files.values())}
    placed |= {layer: path for layer, path in files.items() if layer is not None}
    return heads.with_centroids({layer: arrays[path] for layer, path in sorted(placed.items())})


def taken(source: Source, checkpoint: Checkpoint, tell: Tell) -> TorchaudioPort:
    """Convert what was read of a source as it asks for, and tell what is out of the ordinary. Raises InputError."""
    converted = to_torchaudio(
        checkpoint, allow_non_finite=source.allow_non_finite, allow_unknown_config=source.allow_unknown_config
    )
    for line in remarks(checkpoint, converted):
        tell(line)
    return converted


def write_torchaudio_files(converted: TorchaudioPort, folder: Path, names: list[str]) -> None:
    """Write weights and config under these two names into a folder."""
    weights, config = names
    write_torch_file(dict(converted.state_dict), folder / weights)
    (folder / config).write_text(converted.config.to_json(), encoding="utf-8")


def write_onnx_file(
    config: EncoderConfig,
    state_dict: Mapping[str, NDArray[np.float32]],
    options: OnnxOptions,
    metadata: Mapping[str, str],
    path: Path,
    heads: Heads = NO_HEADS,
) -> None:
    """Write the ONNX graph of these weights into a file."""
    from aves_convert.graph.build import weighted_graph  # onnx is imported only where a graph is written
    from aves_convert.graph.transformer import depth_of, products
    from aves_convert.graph_files.writer import save_graph

    depth = depth_of(options.graph_outputs(config, heads), config)
    if options.precision == "int8" and set(options.wide) >= set(products(depth.layers)):
        raise InputError(
            "every product stays in float32, and nothing is left in eight bits",
            hint="ask for less, or for {precision} float32",
        )
    graph = weighted_graph(config, state_dict, options, metadata, heads)
    save_graph(graph.model, path, graph.arrays)


def _searched(
    config: EncoderConfig,
    state_dict: Mapping[str, NDArray[np.float32]],
    options: OnnxOptions,
    search: Search,
    heads: Heads,
    out: Path,
    *,
    normalize: bool,
    force: bool,
) -> OnnxOptions:
    """The options with what the search finds to stay wide; it is written down beside ``out``."""
    from aves_convert.graph.build import weighted_graph  # these import onnx and ONNX Runtime
    from aves_convert.reduction.search import searched

    # a graph that cannot be written is refused at once, and not after minutes
    weighted_graph(config, state_dict, replace(options, precision="float32", wide=()), heads=heads)
    record = out.with_name(f"{out.stem}.search.json")
    return searched(config, state_dict, options, search, normalize=normalize, record=record, force=force)


def _onnx_files(out: Path) -> list[str]:
    """The graph, and before it its weights where they are more than 2 GB."""
    return [f"{out.name}.data", out.name]


def graph_metadata(converted: TorchaudioPort, name: str, source_sha256: str, terms: Terms) -> dict[str, str]:
    """The metadata of a graph that is made from a checkpoint."""
    return onnx_metadata(
        converted.config,
        name=name,
        normalize=converted.architecture.normalize,
        sample_rate=converted.architecture.sample_rate,
        source_sha256=source_sha256,
        licence=terms.licence or "",
    )
