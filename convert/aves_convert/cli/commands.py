"""The commands of aves-convert: from a fairseq checkpoint to TorchAudio, ONNX and transformers, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from aves_artifacts.base import options
from aves_artifacts.base.command_line import Group, say
from aves_artifacts.base.messages import listed
from aves_artifacts.base.options import path_type
from aves_artifacts.base.progress import showing
from aves_convert.cli.onnx_options import graph_options, names, options_of, search_of, search_options
from aves_convert.cli.source_options import allow_non_finite, name_option, source_of, source_options

_MOST_DROPPED = 12  # names on one line; all of them are in the manifest


def _licence(otherwise: str) -> options.Option:
    return click.option(
        "--licence",
        metavar="ID",
        help="The weights' licence, an SPDX identifier such as CC-BY-4.0, which is written into the files.  [default: "
        f"{otherwise}]",
    )


_OF_THE_CATALOGUE = "what the catalogue has for a checkpoint of this name, else none"


@click.group(cls=Group)
@click.version_option(package_name="aves-ports")
def main() -> None:
    """Convert fairseq HuBERT checkpoints to TorchAudio, ONNX and Hugging Face transformers.

    Needs no fairseq, and runs nothing that is in the files.
    """


@main.command(name="inspect")
@click.argument("file", metavar="FILE", type=path_type())
@options.as_json
def inspect_file(file: Path, as_json: bool) -> None:
    """Tell what a file is, and what to do with it.

    FILE is a fairseq checkpoint, TorchAudio weights, a JSON config, an ONNX graph, a folder of transformers or of a
    bundle, or unknown.
    Printed is what is in it, and the command that comes next. Exit status 2 where the tools cannot use it.
    """
    from aves_artifacts.base.errors import InputError
    from aves_convert.inspection.identify import inspect

    found = inspect(file)
    if as_json or found.facts:
        click.echo(found.to_json() if as_json else found.to_text())
    if found.problems:
        raise InputError(*found.problems)


@main.command()
@click.argument("checkpoint", metavar="CKPT", type=path_type())
@options.out("DIR", "the two files", folder=True)
@name_option
@source_options
@options.force
@click.option(
    "--heads",
    is_flag=True,
    help="Write NAME.heads.safetensors too, with what the weights have no place for: final_proj, the label embeddings, "
    "and {centroids}. By default it is not written.",
)
def fairseq2torchaudio(checkpoint: Path, out: Path, name: str | None, force: bool, heads: bool, **given: Any) -> None:
    """Convert a fairseq checkpoint to TorchAudio.

    Writes NAME.torchaudio.pt, the weights, and NAME.torchaudio.model_config.json, the arguments of torchaudio's
    wav2vec2_model that they fit.
    """
    from aves_artifacts.base.errors import InputError
    from aves_convert.conversion.convert import fairseq_to_heads, fairseq_to_torchaudio
    from aves_convert.conversion.request import Target

    source = source_of(checkpoint, given)
    if source.centroids and not heads:
        raise InputError("centroids have no place in TorchAudio's weights", hint="add {heads}")
    remarks: list[str] = []
    with showing(f"converting {checkpoint.name}"):
        target = Target(out, name or checkpoint.stem, force)
        written = fairseq_to_torchaudio(source, target, tell=remarks.append)
        written += [fairseq_to_heads(source, target)] if heads else []
    _tell(remarks, written)


@main.command()
@click.argument("checkpoint", metavar="CKPT", type=path_type())
@options.out("DIR", "the files that transformers loads", folder=True)
@source_options
@options.force
@click.option(
    "--heads",
    is_flag=True,
    help="Write final_proj too, for the class HubertModelWithFinalProj of voice conversion; HubertModel tells of it as "
    "unused. By default it is not written.",
)
def fairseq2transformers(checkpoint: Path, out: Path, force: bool, heads: bool, **given: Any) -> None:
    """Convert a fairseq checkpoint to transformers.

    Writes model.safetensors, config.json and preprocessor_config.json, which HubertModel.from_pretrained(DIR) loads,
    and the letters of a model with a head for HubertForCTC. transformers need not be installed.
    """
    from aves_artifacts.base.errors import InputError
    from aves_convert.conversion.transformers import fairseq_to_transformers

    source = source_of(checkpoint, given)
    if source.centroids:
        raise InputError("centroids have no place in a folder of transformers", hint="leave {centroids} out")
    remarks: list[str] = []
    with showing(f"converting {checkpoint.name}"):
        written = fairseq_to_transformers(source, out, heads=heads, force=force, tell=remarks.append)
    _tell(remarks, written)


@main.command()
@click.argument("folder", metavar="DIR", type=path_type())
@options.out("DIR", "the two files", folder=True)
@name_option
@allow_non_finite
@options.force
def transformers2torchaudio(folder: Path, out: Path, name: str | None, force: bool, allow_non_finite: bool) -> None:
    """Convert a folder of transformers to TorchAudio.

    DIR holds a HubertModel or a Wav2Vec2Model, alone or inside another class such as HubertForCTC: config.json,
    preprocessor_config.json, and weights in safetensors or as torch saves them. Writes what fairseq2torchaudio writes.
    """
    from aves_artifacts.base.errors import InputError
    from aves_convert.conversion.convert import fairseq_to_torchaudio
    from aves_convert.conversion.request import Source, Target

    if not folder.is_dir():
        raise InputError(f"{folder}: no folder; give the one that config.json and the weights are in")
    remarks: list[str] = []
    with showing(f"converting {folder.name}"):
        source = Source(folder, allow_non_finite=allow_non_finite)
        target = Target(out, name or folder.resolve().name, force)
        written = fairseq_to_torchaudio(source, target, tell=remarks.append)
    _tell(remarks, written)


@main.command()
@click.argument("torchaudio", metavar="WEIGHTS", type=path_type())
@options.config(required=True)
@options.out("F.onnx", "the ONNX graph")
@_licence("none")
@graph_options
@search_options
@options.heads("for projections and units")
@options.centroids
@options.force
def torchaudio2onnx(
    torchaudio: Path,
    config: Path,
    out: Path,
    licence: str | None,
    heads: Path | None,
    centroids: tuple[str, ...],
    force: bool,
    **onnx: Any,
) -> None:
    """Convert TorchAudio weights to ONNX.

    WEIGHTS is the .torchaudio.pt file that fairseq2torchaudio or bundle wrote.
    """
    from aves_convert.conversion.convert import torchaudio_to_onnx
    from aves_convert.conversion.request import Terms, by_layer
    from aves_convert.conversion.speed import speed_remarks

    remarks: list[str] = []
    with showing(f"converting {torchaudio.name}") as show:
        search = search_of(onnx, remarks.append, show)
        chosen, given = options_of(onnx), by_layer(centroids)
        remarks += speed_remarks(chosen)
        terms = Terms(licence)
        written = torchaudio_to_onnx(
            torchaudio, config, out, chosen, terms, heads=heads, centroids=given, force=force, search=search
        )
    _tell(remarks, [written])


@main.command()
@click.argument("checkpoint", metavar="CKPT", type=path_type())
@options.out("F.onnx", "the ONNX graph")
@_licence(_OF_THE_CATALOGUE)
@source_options
@graph_options
@search_options
@options.force
def fairseq2onnx(checkpoint: Path, out: Path, licence: str | None, force: bool, **given: Any) -> None:
    """Convert a fairseq checkpoint to ONNX."""
    from aves_convert.conversion.convert import fairseq_to_onnx
    from aves_convert.conversion.request import Terms
    from aves_convert.conversion.speed import speed_remarks

    remarks: list[str] = []
    with showing(f"converting {checkpoint.name}") as show:
        source, search = source_of(checkpoint, given), search_of(given, remarks.append, show)
        chosen = options_of(given)
        remarks += speed_remarks(chosen)
        written = fairseq_to_onnx(source, out, chosen, Terms(licence), force=force, tell=remarks.append, search=search)
    _tell(remarks, [written])


@main.command()
@click.argument("checkpoint", metavar="SOURCE", type=path_type())
@options.out("DIR", "the bundle", folder=True)
@name_option
@_licence(_OF_THE_CATALOGUE)
@click.option(
    "--citation",
    metavar="TEXT",
    help=f"How the weights' authors are cited, for the model card.  [default: {_OF_THE_CATALOGUE}]",
)
@options.more_ports
@source_options
@graph_options
@search_options
@options.force
def bundle(
    checkpoint: Path,
    out: Path,
    name: str | None,
    licence: str | None,
    citation: str | None,
    also: tuple[str, ...],
    force: bool,
    **given: Any,
) -> None:
    """Convert a checkpoint to all formats.

    Writes TorchAudio weights with their config, a copy in safetensors, an ONNX graph, a model card (README.md), and
    manifest.json, which has the hash of each file and says what became of every tensor. SOURCE is a checkpoint, or a
    folder with a HubertModel of which there is no checkpoint any more.
    """
    from aves_convert.conversion.bundle import EightBits, make_bundle
    from aves_convert.conversion.request import Target, Terms
    from aves_convert.inspection.finding import shell_command

    remarks: list[str] = []
    with showing(f"bundling {checkpoint.name}") as show:
        source = source_of(checkpoint, given)
        target = Target(out, name or (checkpoint.resolve().name if source.is_folder else checkpoint.stem), force, also)
        eight = EightBits(names(given.pop("wide") or None), search_of(given, remarks.append, show))
        if "onnx.int8" in also:  # whose weights are meant: those of the first graph are float32
            eight = replace(eight, weights=given.pop("weights") or eight.weights)
        chosen = options_of({"weights": None, **given, "wide": None})
        made = make_bundle(source, target, chosen, Terms(licence, citation), eight=eight, tell=remarks.append)
    _tell(remarks)
    for record in made.manifest.files.values():
        click.echo(f"{made.folder / record.name}  {record.size / 1e6:.1f} MB  sha256 {record.sha256[:12]}")
    actions = [entry.action for entry in made.manifest.ledger]
    dropped = [str(entry.source) for entry in made.manifest.ledger if entry.action == "dropped"]
    click.echo(f"{actions.count('mapped')} tensors mapped, {len(dropped)} dropped ({listed(dropped, _MOST_DROPPED)})")
    given_settings = {"--pretrained": source.pretrained, "--geometry": source.geometry}
    settings = [word for option, value in given_settings.items() if value is not None for word in (option, value)]
    original = "--transformers" if source.is_folder else "--fairseq"
    click.echo(f"next: {shell_command('aves-verify', '--bundle', made.folder, original, checkpoint, *settings)}")


@main.command()
@click.argument("weights", metavar="WEIGHTS", type=path_type())
@options.config(required=True)
@click.option(
    "--like",
    required=True,
    type=path_type(),
    metavar="CKPT",
    help="The fairseq checkpoint to take all but the weights from; its encoder has the same geometry.",
)
@options.out("F.pt", "a fairseq checkpoint")
@options.pretrained
@options.heads("to put them in the place of those of CKPT")
@options.force
def torchaudio2fairseq(
    weights: Path, config: Path, like: Path, out: Path, pretrained: Path | None, heads: Path | None, force: bool
) -> None:
    """Convert TorchAudio weights back to fairseq.

    Everything but the weights is that of the checkpoint given with --like; its optimizer state and moving average are
    left out.
    """
    from aves_convert.conversion.convert import torchaudio_to_fairseq

    with showing(f"converting {weights.name}"):
        remarks = torchaudio_to_fairseq(weights, config, like, out, pretrained=pretrained, heads=heads, force=force)
    click.echo(out)
    for remark in remarks:
        click.echo(remark)


@main.command()
@click.argument("name")
@options.out("F.pt", "a fairseq checkpoint")
@click.option(
    "--seed",
    type=int,
    metavar="N",
    default=0,
    show_default=True,
    help="What the pseudo-random weights begin from: another number gives other weights.",
)
@click.option(
    "--geometry",
    type=click.Choice(["base", "large", "tiny"]),
    default="base",
    show_default=True,
    help="The encoder's size: 768 dimensions in 12 layers, 1024 in 24, or 24 in 2, for trials.",
)
@options.force
def stand_in(name: str, out: Path, seed: int, geometry: Any, force: bool) -> None:
    """Make a fairseq checkpoint with made-up weights.

    It has the format and the size of a real one, for trials without a download. NAME is the configuration that it
    stands for, e.g. bio; the same NAME, size and seed give the same bytes.
    """
    from aves_artifacts.base.errors import InputError
    from aves_artifacts.files.writing import REPLACE
    from aves_convert.conversion.stand_in import write_stand_in

    if out.exists() and not force:
        raise InputError(f"{out}: already there; nothing was written", hint=REPLACE)
    with showing(f"writing {out.name}"):
        write_stand_in(name, out, geometry=geometry, seed=seed)
    click.echo(out)


def _tell(remarks: list[str], written: Iterable[Path] = ()) -> None:
    """Print what is out of the ordinary on standard error, and the files that were written on standard output."""
    for remark in remarks:
        say(remark, err=True)
    for path in written:
        click.echo(path)
