"""Making a bundle from a checkpoint: every port, the model card and the manifest, written side by side."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.bundle.manifest import FILE_NAMES, MANIFEST, REDUCED, REPORT, Role
from aves_artifacts.bundle.model_card import write_card
from aves_artifacts.files.concurrency import pool
from aves_artifacts.files.file_record import file_record, unchanged
from aves_artifacts.files.writing import staged
from aves_convert.conversion.convert import (
    converted_heads,
    graph_metadata,
    taken,
    write_onnx_file,
    write_torchaudio_files,
)
from aves_convert.conversion.manifest import known_terms, manifest_of
from aves_convert.conversion.remarks import Tell, silent
from aves_convert.conversion.request import Source, Target, Terms
from aves_convert.conversion.speed import speed_remarks
from aves_convert.graph.options import OnnxOptions, Weights
from aves_convert.reduction.bounds import Search
from aves_convert.torch_files.safetensors_writer import write_safetensors
from aves_convert.weights.heads import write_heads
from aves_convert.weights.to_torchaudio import TorchaudioPort, hashed
from aves_convert.weights.to_transformers import to_transformers

BUNDLE_THREADS = 2  # more gain nothing: two keep the disk busy


@dataclass(frozen=True)
class EightBits:
    """What the graph in eight bits has of its own: products that stay wide, a search for more, and how weights lie."""

    wide: tuple[str, ...] = ()
    search: Search | None = None
    weights: Weights = "float16"


def make_bundle(
    source: Source,
    target: Target,
    options: OnnxOptions = OnnxOptions(),
    terms: Terms = Terms(),
    *,
    eight: EightBits = EightBits(),
    tell: Tell = silent,
) -> Bundle:
    """Write every port of a checkpoint, the model card and the manifest into a folder; return the bundle.

    A folder gets all of it or nothing. ``options`` are those of the first graph, and of smaller ones that ``target``
    asks for; ``eight``: what the one in eight bits has of its own. ``tell`` gets a line for everything that is out of
    the ordinary. Raises InputError.
    """
    reduced = _reduced(options, target, eight)
    names = {role: name.format(name=target.name) for role, name in FILE_NAMES.items()}
    for line in itertools.chain.from_iterable(map(speed_remarks, reduced.values())):
        tell(line)
    written = [*names.values(), REPORT, MANIFEST]
    _check_place(source, target, names, written)
    with staged(target.folder, written, force=target.force) as staging, unchanged(*source.files):
        read = source.read()
        terms = terms.or_else(known_terms(target.name, read))
        converted = taken(source, read, tell)
        heads = converted_heads(source, read, converted.architecture, options.units)
        options.graph_outputs(converted.config, heads)  # what there is not is told before anything is written
        if eight.search is not None:
            record = _measured_before(target, names["int8_search"], staging)
            reduced["onnx_int8"] = _searched(converted, reduced["onnx_int8"], eight.search, record, force=target.force)
        # while one file waits for the disk, another is written or hashed
        with pool(BUNDLE_THREADS) as threads:
            original = threads.submit(source.record)
            accounted = threads.submit(hashed, converted, read)

            def write_onnx(role: Role, options: OnnxOptions) -> None:
                metadata = graph_metadata(converted, target.name, original.result().sha256, terms)
                write_onnx_file(converted.config, converted.state_dict, options, metadata, staging / names[role], heads)

            begun: list[Future[Any]] = [
                original,
                accounted,
                threads.submit(write_torchaudio_files, converted, staging, [names["torchaudio"], names["config"]]),
                threads.submit(write_safetensors, converted.state_dict, staging / names["safetensors"]),
                *(threads.submit(write_onnx, role, each) for role, each in {"onnx": options, **reduced}.items()),
            ]
            if "transformers" in target.also:
                folder = (staging / names["transformers_config"]).parent
                folder.mkdir()
                begun.append(threads.submit(to_transformers(read, converted).write, folder))
            if heads.tensors:
                begun.append(threads.submit(write_heads, heads, staging / names["heads"]))
            for each in begun:
                each.result()
            there = [role for role, name in names.items() if (staging / name).exists()]
            records = threads.map(lambda role: replace(file_record(staging / names[role]), name=names[role]), there)
            files = dict(zip(there, records, strict=True))
        made = manifest_of(
            target.name, read, accounted.result(), files, original.result(), terms, options, heads, reduced
        )
        manifest = write_card(made, staging)
        (staging / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return Bundle(target.folder, manifest)


def _check_place(source: Source, target: Target, names: Mapping[Role, str], written: Sequence[str]) -> None:
    """Raise InputError where the folder cannot become a bundle of this source, before anything is read."""
    transformers = "transformers" in target.also
    if transformers and target.name == "model":
        raise InputError(
            "the name model: its copy in safetensors would be called as transformers' weights are, which the Hub has "
            "in one folder",
            hint="give another with {name}",
        )
    if transformers and source.is_folder:
        raise InputError(f"{source.path}: is a folder of transformers already; copy it beside the bundle")
    if (target.folder / names["card"]).exists() and not (target.folder / MANIFEST).exists():
        raise InputError(f"{target.folder}: {names['card']} is there and is no bundle's; choose another folder")
    beside = (target.folder / names["transformers_config"]).parent
    if beside.exists() and not beside.is_dir():
        raise InputError(f"{beside}: a file is there, where the folder for transformers belongs; choose another folder")
    read_from = {path.resolve() for path in source.files if path is not None}
    for path in (target.folder / name for name in written):
        if path.resolve() in read_from:  # a folder of transformers that is called model, say
            raise InputError(f"{path}: is what the bundle is made of; choose another folder")


def _measured_before(target: Target, name: str, staging: Path) -> Path:
    """Where a search writes down what it measures; it begins with what it measured for the bundle that is replaced."""
    before, record = target.folder / name, staging / name
    if before.exists():
        shutil.copyfile(before, record)
    return record


def _searched(
    converted: TorchaudioPort, options: OnnxOptions, search: Search, record: Path, *, force: bool
) -> OnnxOptions:
    from aves_convert.reduction.search import searched  # imports ONNX Runtime

    normalize = converted.architecture.normalize
    return searched(
        converted.config, converted.state_dict, options, search, normalize=normalize, record=record, force=force
    )


def _reduced(options: OnnxOptions, target: Target, eight: EightBits) -> dict[Role, OnnxOptions]:
    """How the graphs are written that cost more than rounding, by role; the others are as the bundle's first graph."""
    if options.is_reduced:
        raise InputError(
            "a bundle's first graph is held to rounding, and these options cost more: "
            f"precision {options.precision}, weights {options.weights}",
            hint=f"add the other one with {{also}} {' or '.join(REDUCED)}",
        )
    asked = {port: role for port, role in REDUCED.items() if port in target.also}
    if asked and options.exporter != "graph":
        raise InputError(f"{', '.join(asked)}: needs a graph that is written", hint="{exporter} graph")
    changes: dict[str, dict[str, Any]] = {
        "onnx.float16-weights": {"weights": "float16"},
        "onnx.float16": {"precision": "float16"},
        "onnx.int8": {"precision": "int8", "weights": eight.weights, "wide": eight.wide},
    }
    if (eight.wide or eight.search) and "onnx.int8" not in asked:
        what = "products that stay in float32" if eight.wide else "a search for products that stay in float32"
        raise InputError(f"{what}, and no graph of eight bits", hint="add {also} onnx.int8")
    if eight.search is not None and eight.search.explain:
        raise InputError("a picture of a search, for which a bundle has no place", hint="draw it with fairseq2onnx")
    return {role: replace(options, **changes[port]) for port, role in asked.items()}
