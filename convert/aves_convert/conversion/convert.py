"""The conversions as a user asks for them: files in, files out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.concurrency import pool
from aves_artifacts.base.errors import InputError
from aves_artifacts.base.file_record import file_record, sha256_of
from aves_artifacts.bundle.bundle import Bundle, staged
from aves_artifacts.bundle.graph_contract import onnx_metadata
from aves_artifacts.bundle.manifest import FILE_NAMES, MANIFEST, REPORT
from aves_artifacts.bundle.model_card import write_card
from aves_artifacts.encoder import EncoderConfig
from aves_convert.checkpoint.pretrained import read_settled
from aves_convert.conversion.manifest import known_terms, manifest_of, printable_name
from aves_convert.graph.options import OnnxOptions
from aves_convert.torch_files.safetensors_writer import write_safetensors
from aves_convert.torch_files.writer import write_torch_file
from aves_convert.weights.state_dict import read_state_dict
from aves_convert.weights.to_torchaudio import TorchaudioPort, hashed, port

BUNDLE_THREADS = 2  # more gain nothing: two keep the disk busy


@dataclass(frozen=True)
class Target:
    """Where results go: a folder, the configuration's name, and whether existing files are replaced."""

    folder: Path
    name: str
    force: bool = False

    def __post_init__(self) -> None:
        """Raise InputError for a name that is no plain file name."""
        if not self.name or Path(self.name).name != self.name or self.name.startswith("."):
            raise InputError(f"--name {self.name!r}: expected a plain file name such as aves-base-bio")
        if not self.name.isprintable():  # also what is no UTF-8, which neither ONNX nor JSON could hold
            raise InputError(f"the name {self.name!r} has characters that cannot be printed; give another with --name")


def fairseq_to_torchaudio(
    checkpoint: Path, target: Target, *, pretrained: Path | None = None, allow_non_finite: bool = False
) -> list[Path]:
    """Write ``NAME.torchaudio.pt`` and ``NAME.torchaudio.model_config.json``; return their paths. Raises InputError."""
    converted = port(read_settled(checkpoint, pretrained), allow_non_finite=allow_non_finite)
    names = [FILE_NAMES["torchaudio"].format(name=target.name), FILE_NAMES["config"].format(name=target.name)]
    with staged(target.folder, names, force=target.force) as staging:
        _write_torchaudio(converted, staging, names)
    return [target.folder / name for name in names]


def fairseq_to_onnx(
    checkpoint: Path,
    out: Path,
    options: OnnxOptions,
    *,
    pretrained: Path | None = None,
    force: bool = False,
    allow_non_finite: bool = False,
    licence: str | None = None,
) -> Path:
    """Write a checkpoint's ONNX graph; return its path. Raises InputError.

    ``licence`` of the weights, an SPDX identifier: None, what the catalogue has under the checkpoint's name.
    """
    with staged(out.parent, _onnx_files(out), force=force) as staging:
        read = read_settled(checkpoint, pretrained)
        terms = known_terms(checkpoint.stem, read).replaced(licence, None)
        converted = port(read, allow_non_finite=allow_non_finite)
        metadata = _metadata(converted, printable_name(checkpoint.stem), sha256_of(checkpoint), terms.licence)
        _write_onnx(converted.config, converted.state_dict, options, metadata, staging / out.name)
    return out


def torchaudio_to_onnx(
    weights: Path, config: Path, out: Path, options: OnnxOptions, *, force: bool = False, licence: str | None = None
) -> Path:
    """Write the ONNX graph of a TorchAudio port in either weight-norm dialect; return its path. Raises InputError.

    ``licence`` of the weights is an SPDX identifier; None: not known.
    """
    with staged(out.parent, _onnx_files(out), force=force) as staging:
        encoder = EncoderConfig.read(config)
        state_dict = read_state_dict(weights, encoder)
        metadata = onnx_metadata(
            encoder,
            name=printable_name(weights.name.removesuffix(".pt").removesuffix(".torchaudio")),
            normalize=None,
            sample_rate=16_000,
            source_sha256=sha256_of(weights),
            licence=licence or "",
        )
        _write_onnx(encoder, state_dict, options, metadata, staging / out.name)
    return out


def torchaudio_to_fairseq(
    weights: Path, config: Path, like: Path, out: Path, *, pretrained: Path | None = None, force: bool = False
) -> tuple[str, ...]:
    """Write the checkpoint ``like`` with the weights of a TorchAudio port; return remarks on it. Raises InputError."""
    from aves_convert.weights.to_fairseq import fairseq_port

    with staged(out.parent, [out.name], force=force) as staging:
        made = fairseq_port(weights, EncoderConfig.read(config), like, pretrained)
        write_torch_file(made.contents, staging / out.name)
    return made.remarks


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
                metadata = _metadata(converted, target.name, source.result().sha256, terms.licence)
                _write_onnx(converted.config, converted.state_dict, options, metadata, staging / names["onnx"])

            begun: list[Future[Any]] = [
                source,
                accounted,
                threads.submit(_write_torchaudio, converted, staging, [names["torchaudio"], names["config"]]),
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


def _write_torchaudio(converted: TorchaudioPort, folder: Path, names: list[str]) -> None:
    weights, config = names
    write_torch_file(dict(converted.state_dict), folder / weights)
    (folder / config).write_text(converted.config.to_json(), encoding="utf-8")


def _write_onnx(
    config: EncoderConfig,
    state_dict: Mapping[str, NDArray[np.float32]],
    options: OnnxOptions,
    metadata: Mapping[str, str],
    path: Path,
) -> None:
    from aves_convert.graph.build import build_onnx  # onnx is imported only where a graph is written
    from aves_convert.graph.file_writer import save_graph

    save_graph(build_onnx(config, state_dict, options, metadata), path)


def _onnx_files(out: Path) -> list[str]:
    """The graph, and before it its weights where they are more than 2 GB."""
    return [f"{out.name}.data", out.name]


def _metadata(converted: TorchaudioPort, name: str, source_sha256: str, licence: str) -> dict[str, str]:
    return onnx_metadata(
        converted.config,
        name=name,
        normalize=converted.architecture.normalize,
        sample_rate=converted.architecture.sample_rate,
        source_sha256=source_sha256,
        licence=licence,
    )
