"""Finding a configuration's files in the local store: the original, with ports made here or published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.progress import transfer_bars
from aves_artifacts.bundle.manifest import MANIFEST
from aves_artifacts.configurations.catalog import Configuration, PublishedRole
from aves_artifacts.configurations.store import bundle_folder, place
from aves_artifacts.fetch.fetcher import Fetcher, Wanted
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.graph.options import Layers, OnnxOptions
from aves_verify.subjects.subject import Subject, of_bundle

Ports = Literal["made", "published"]


def bring(configurations: Sequence[Configuration], ports: Ports, layers: Layers) -> None:
    """Fetch the files that are missing, and convert originals that have no bundle yet, where our ports are wanted.

    Raises InputError where a file cannot be had.
    """
    missing = [
        Wanted(configuration, role)
        for configuration in configurations
        for role in _roles(configuration, ports)
        if not place(configuration, role).is_file()
    ]
    with transfer_bars() as watcher:
        Fetcher(watcher=watcher).fetch_files(missing)
    for configuration in configurations if ports == "made" else ():
        folder = bundle_folder(configuration)
        if configuration.has_original and not (folder / MANIFEST).is_file():
            target = Target(folder, configuration.file_name)
            make_bundle(Source(place(configuration, "original")), target, OnnxOptions(layers=layers))


def of_configuration(configuration: Configuration, ports: Ports) -> Subject:
    """Find a configuration's original and its ports in the local store. Raises InputError where they are not there."""
    if ports == "made" and not configuration.has_original:
        raise InputError(
            f"{configuration.name}: its authors publish ports only, so there is no original to compare with",
            hint="give {ports} published {backends} torchaudio,onnx to compare its ports with each other",
        )
    files = {role: place(configuration, role) for role in _roles(configuration, ports)}
    for path in files.values():
        if not path.is_file():
            raise InputError(
                f"{configuration.name}: {path} is not there; fetch it with aves-artifacts fetch",
                hint="or give {download} to fetch it, or {stand_in} to verify made-up weights instead",
            )
    if ports == "published":
        return Subject(
            configuration.name,
            source="published",
            fairseq=files.get("original"),
            torchaudio=files.get("torchaudio"),
            config=files.get("config"),
            onnx=files.get("onnx"),
        )
    folder = bundle_folder(configuration)
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{configuration.name}: its original has no ports yet", hint="give {download} to make them")
    subject = of_bundle(folder, files["original"])
    return replace(subject, name=configuration.name, source="published")


def _roles(configuration: Configuration, ports: Ports) -> list[PublishedRole]:
    """The files that are published of what is verified."""
    return [role for role in configuration.files if role == "original" or ports == "published"]
