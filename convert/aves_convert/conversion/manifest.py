"""Writing the manifest of a bundle, and finding the terms that the catalogue has for it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from aves_artifacts.base.versions import own_version, version_of
from aves_artifacts.bundle.manifest import EncoderFacts, GraphRecord, Manifest, Role, SourceRecord
from aves_artifacts.configurations.catalog import by_file_name
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.file_record import FileRecord, file_record
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.config_entries import MOST_RECORDED
from aves_convert.conversion.request import Terms
from aves_convert.graph.options import Exporter, OnnxOptions
from aves_convert.weights.heads import Heads
from aves_convert.weights.to_torchaudio import TorchaudioPort

# By the exporter: what has a part in making a bundle's files.
_PACKAGES: dict[Exporter, tuple[str, ...]] = {
    "graph": ("onnx", "safetensors", "numpy"),
    "torch": ("torch", "torchaudio", "onnx", "onnxscript", "safetensors", "numpy"),
}


def known_terms(name: str, checkpoint: Checkpoint) -> Terms:
    """Find licence and citation of the encoder of this name in the catalogue; empty for a stand-in and an unknown one.

    Raises InputError for an unusable catalogue.
    """
    known = None if checkpoint.stand_in else by_file_name(name)
    return Terms("", "") if known is None else Terms(known.licence, known.citation)


def manifest_of(
    name: str,
    checkpoint: Checkpoint,
    converted: TorchaudioPort,
    files: Mapping[Role, FileRecord],
    source: FileRecord,
    terms: Terms,
    options: OnnxOptions,
    heads: Heads,
    reduced: Mapping[Role, OnnxOptions] = MappingProxyType({}),
) -> Manifest:
    """Make the manifest of these files; ``source`` is the checkpoint's own record, ``options`` made the graph.

    ``reduced``: what made the graphs that cost more than rounding, by role.
    """
    arch = converted.architecture
    pretrained = None if checkpoint.pretrained is None else _recorded(file_record(checkpoint.pretrained))
    return Manifest(
        name=name,
        files=files,
        source=SourceRecord(
            **vars(_recorded(source)),
            model_class=arch.model_class,
            num_updates=checkpoint.num_updates,
            stand_in=checkpoint.stand_in,
            pretrained=pretrained,
            geometry=checkpoint.geometry,
            format="fairseq" if checkpoint.folder is None else "transformers",
            unknown_config={entry.name: entry.value for entry in arch.unknown[:MOST_RECORDED]},
        ),
        encoder=EncoderFacts.of(arch.config, sample_rate=arch.sample_rate, normalize=arch.normalize),
        config=arch.config,
        ledger=converted.ledger,
        versions={
            "aves-ports": own_version(),
            "python": platform.python_version(),
            **{package: version for package in _PACKAGES[options.exporter] if (version := version_of(package))},
        },
        licence=terms.licence or "",
        citation=terms.citation or "",
        graph=_graph_record(options, arch.config, heads),
        reduced={role: _graph_record(each, arch.config, heads) for role, each in reduced.items()},
    )


def _graph_record(options: OnnxOptions, config: EncoderConfig, heads: Heads) -> GraphRecord:
    return GraphRecord(
        opset=options.opset,
        precision=options.precision,
        attention=options.attention,
        exporter=options.exporter,
        fixed_shape=options.fixed_shape,
        channel_axis=options.channel_axis,
        outputs=tuple(heads.record(each, config) for each in options.graph_outputs(config, heads)),
        weights=options.weights,
        wide=tuple(sorted(options.wide)),
    )


def encodable_name(name: str) -> str:
    """A file's name as ONNX and JSON can hold it: in UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()


def _recorded(source: FileRecord) -> FileRecord:
    return replace(source, name=encodable_name(source.name))
