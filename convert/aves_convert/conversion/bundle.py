"""A bundle from a checkpoint: every port, the model card and the manifest, written side by side."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

from aves_artifacts.base.concurrency import pool
from aves_artifacts.base.errors import InputError
from aves_artifacts.base.file_record import file_record
from aves_artifacts.base.files import staged
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.bundle.manifest import FILE_NAMES, MANIFEST, REPORT
from aves_artifacts.bundle.model_card import write_card
from aves_convert.checkpoint.pretrained import read_settled
from aves_convert.conversion.convert import graph_metadata, write_onnx_file, write_torchaudio_files
from aves_convert.conversion.manifest import known_terms, manifest_of
from aves_convert.conversion.request import Target
from aves_convert.graph.options import OnnxOptions
from aves_convert.torch_files.safetensors_writer import write_safetensors
from aves_convert.weights.to_torchaudio import hashed, port

BUNDLE_THREADS = 2  # more gain nothing: two keep the disk busy


def make_bundle(
    checkpoint: Path,
    target: Target,
    options: OnnxOptions,
    *,
    pretrained: Path | None = None,
    allow_non_finite: bool = False,
    licence: str | None = None,
    citation: str | None = None,
) -> Bundle:
    """Write every file of a configuration, the model card and the manifest; return the bundle. Raises InputError.

    ``licence`` of the weights, an SPDX identifier, and ``citation``: None, what the catalogue has under this name.
    """
    read = read_settled(checkpoint, pretrained)
    terms = known_terms(target.name, read).replaced(licence, citation)
    names = {role: name.format(name=target.name) for role, name in FILE_NAMES.items()}
    if (target.folder / names["card"]).exists() and not (target.folder / MANIFEST).exists():
        raise InputError(f"{target.folder}: {names['card']} is there and is no bundle's; choose another folder")
    converted = port(read, allow_non_finite=allow_non_finite)
    with staged(target.folder, [*names.values(), REPORT, MANIFEST], force=target.force) as staging:
        # while one file waits for the disk, another is written or hashed
        with pool(BUNDLE_THREADS) as threads:
            source = threads.submit(file_record, checkpoint)
            accounted = threads.submit(hashed, converted, read)

            def write_onnx() -> None:
                metadata = graph_metadata(converted, target.name, source.result().sha256, terms.licence)
                write_onnx_file(converted.config, converted.state_dict, options, metadata, staging / names["onnx"])

            begun: list[Future[Any]] = [
                source,
                accounted,
                threads.submit(write_torchaudio_files, converted, staging, [names["torchaudio"], names["config"]]),
                threads.submit(write_safetensors, converted.state_dict, staging / names["safetensors"]),
                threads.submit(write_onnx),
            ]
            for each in begun:
                each.result()
            there = [role for role, name in names.items() if (staging / name).exists()]
            records = threads.map(lambda role: file_record(staging / names[role]), there)
            files = dict(zip(there, records, strict=True))
        manifest = write_card(
            manifest_of(target.name, read, accounted.result(), files, source.result(), terms), staging
        )
        (staging / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return Bundle(target.folder, manifest)
