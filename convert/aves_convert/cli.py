"""aves-convert: from a fairseq checkpoint to TorchAudio and ONNX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aves_artifacts.base.command_line import Group, path_type
from aves_artifacts.base.progress import status

if TYPE_CHECKING:
    from aves_convert.graph.options import OnnxOptions

# The models' authors publish aves-base-bio.pt; the configuration's name is the file's without its ending.
_NAME_HELP = "Stem of the files that are written.  [default: that of CKPT]"


def _onnx_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that writes an ONNX graph."""
    for option in (
        click.option(
            "--layers",
            type=click.Choice(["last", "all"]),
            default="last",
            show_default=True,
            help="Outputs of the graph.",
        ),
        click.option(
            "--opset",
            type=int,
            default=17,
            show_default=True,
            help="Version of the ONNX operators; from 23 on attention is one.",
        ),
        click.option(
            "--exporter",
            type=click.Choice(["graph", "torch"]),
            default="graph",
            show_default=True,
            help="Write the graph from the weights, or trace it with torch.onnx.export.",
        ),
        click.option(
            "--attention",
            type=click.Choice(["standard", "fused"]),
            default="standard",
            show_default=True,
            help="Standard operators, or ONNX Runtime's own attention.",
        ),
    ):
        command = option(command)
    return command


_pretrained = click.option(
    "--pretrained",
    type=path_type(),
    metavar="CKPT",
    help="What a fine-tuned checkpoint was made from, where it lacks that one's config.",
)
_force = click.option("--force", is_flag=True, help="Replace files that are there already.")
_licence = click.option(
    "--licence", metavar="ID", help="SPDX identifier of the weights' licence.  [default: the catalogue's]"
)
_non_finite = click.option("--allow-non-finite", is_flag=True, help="Convert weights that are NaN or infinite.")


@click.group(cls=Group)
@click.version_option(package_name="aves-ports")
def main() -> None:
    """Convert fairseq HuBERT checkpoints to TorchAudio and ONNX.

    Needs no fairseq, and runs nothing that is in the files.
    """


@main.command(name="inspect")
@click.argument("file", metavar="FILE", type=path_type())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect_file(file: Path, as_json: bool) -> None:
    """Tell what FILE is, and the next command for it.

    FILE is a fairseq checkpoint, TorchAudio weights, a JSON config, an ONNX graph, a bundle's folder, or unknown.
    Exit status 2 where the tools cannot use it.
    """
    from aves_artifacts.base.errors import InputError
    from aves_convert.inspection.identify import inspect

    found = inspect(file)
    if as_json or found.facts:
        click.echo(found.to_json() if as_json else found.to_text())
    if found.problem is not None:
        raise InputError(found.problem)


@main.command()
@click.argument("checkpoint", metavar="CKPT", type=path_type())
@click.option("--out", required=True, type=path_type(folder=True), metavar="DIR", help="Folder for the two files.")
@click.option("--name", help=_NAME_HELP)
@_pretrained
@_force
@_non_finite
def fairseq2torchaudio(
    checkpoint: Path, out: Path, name: str | None, pretrained: Path | None, force: bool, allow_non_finite: bool
) -> None:
    """Write NAME.torchaudio.pt and NAME.torchaudio.model_config.json."""
    from aves_convert.conversion.convert import fairseq_to_torchaudio
    from aves_convert.conversion.request import Target

    with status(f"converting {checkpoint.name}"):
        target = Target(out, name or checkpoint.stem, force)
        written = fairseq_to_torchaudio(checkpoint, target, pretrained=pretrained, allow_non_finite=allow_non_finite)
    for path in written:
        click.echo(path)


@main.command()
@click.argument("weights", metavar="WEIGHTS", type=path_type())
@click.option("--config", required=True, type=path_type(), metavar="JSON", help="The model_config.json of WEIGHTS.")
@click.option("--out", required=True, type=path_type(), metavar="F.onnx", help="The file to write.")
@click.option("--licence", metavar="ID", help="SPDX identifier of the weights' licence.")
@_onnx_options
@_force
def torchaudio2onnx(weights: Path, config: Path, out: Path, licence: str | None, force: bool, **options: Any) -> None:
    """Write the ONNX graph of a TorchAudio port."""
    from aves_convert.conversion.convert import torchaudio_to_onnx

    with status(f"converting {weights.name}"):
        click.echo(torchaudio_to_onnx(weights, config, out, _options(options), force=force, licence=licence))


@main.command()
@click.argument("checkpoint", metavar="CKPT", type=path_type())
@click.option("--out", required=True, type=path_type(), metavar="F.onnx", help="The file to write.")
@_licence
@_pretrained
@_onnx_options
@_force
@_non_finite
def fairseq2onnx(
    checkpoint: Path,
    out: Path,
    licence: str | None,
    pretrained: Path | None,
    force: bool,
    allow_non_finite: bool,
    **options: Any,
) -> None:
    """Write the ONNX graph of a fairseq checkpoint."""
    from aves_convert.conversion.convert import fairseq_to_onnx

    with status(f"converting {checkpoint.name}"):
        written = fairseq_to_onnx(
            checkpoint,
            out,
            _options(options),
            pretrained=pretrained,
            force=force,
            allow_non_finite=allow_non_finite,
            licence=licence,
        )
    click.echo(written)


@main.command()
@click.argument("checkpoint", metavar="CKPT", type=path_type())
@click.option("--out", required=True, type=path_type(folder=True), metavar="DIR", help="Folder for the bundle.")
@click.option("--name", help=_NAME_HELP)
@_licence
@click.option("--citation", metavar="TEXT", help="How the authors are cited.  [default: the catalogue's]")
@_pretrained
@_onnx_options
@_force
@_non_finite
def bundle(
    checkpoint: Path,
    out: Path,
    name: str | None,
    licence: str | None,
    citation: str | None,
    pretrained: Path | None,
    force: bool,
    allow_non_finite: bool,
    **options: Any,
) -> None:
    """Write every file of a configuration, a model card and manifest.json."""
    from aves_convert.conversion.bundle import make_bundle
    from aves_convert.conversion.request import Target
    from aves_convert.inspection.finding import command

    with status(f"bundling {checkpoint.name}"):
        made = make_bundle(
            checkpoint,
            Target(out, name or checkpoint.stem, force),
            _options(options),
            pretrained=pretrained,
            allow_non_finite=allow_non_finite,
            licence=licence,
            citation=citation,
        )
    for record in made.manifest.files.values():
        click.echo(f"{made.folder / record.name}  {record.size / 1e6:.1f} MB  sha256 {record.sha256[:12]}")
    actions = [entry["action"] for entry in made.manifest.ledger]
    dropped = [entry["source"] for entry in made.manifest.ledger if entry["action"] == "dropped"]
    click.echo(f"{actions.count('mapped')} tensors mapped, {len(dropped)} dropped ({', '.join(dropped)})")
    settings = () if pretrained is None else ("--pretrained", pretrained)
    click.echo(f"next: {command('aves-verify', '--bundle', made.folder, '--fairseq', checkpoint, *settings)}")


@main.command()
@click.argument("weights", metavar="WEIGHTS", type=path_type())
@click.option("--config", required=True, type=path_type(), metavar="JSON", help="The model_config.json of WEIGHTS.")
@click.option("--like", required=True, type=path_type(), metavar="CKPT", help="A checkpoint of the same geometry.")
@click.option("--out", required=True, type=path_type(), metavar="F.pt", help="The file to write.")
@_pretrained
@_force
def torchaudio2fairseq(
    weights: Path, config: Path, like: Path, out: Path, pretrained: Path | None, force: bool
) -> None:
    """Write a fairseq checkpoint: WEIGHTS in the place of those of CKPT.

    Everything but the weights is that of CKPT; its optimizer state and moving average are left out.
    """
    from aves_convert.conversion.convert import torchaudio_to_fairseq

    with status(f"converting {weights.name}"):
        remarks = torchaudio_to_fairseq(weights, config, like, out, pretrained=pretrained, force=force)
    click.echo(out)
    for remark in remarks:
        click.echo(remark)


@main.command()
@click.argument("name")
@click.option("--out", required=True, type=path_type(), metavar="F.pt", help="The file to write.")
@click.option("--seed", type=int, default=0, show_default=True, help="Other weights.")
@click.option("--geometry", type=click.Choice(["base", "large", "tiny"]), default="base", show_default=True)
@_force
def stand_in(name: str, out: Path, seed: int, geometry: Any, force: bool) -> None:
    """Write a seeded checkpoint in fairseq's own format, in the place of configuration NAME."""
    from aves_artifacts.base.errors import InputError
    from aves_convert.conversion.stand_in import write_stand_in

    if out.exists() and not force:
        raise InputError(f"{out}: already there; nothing was written; give --force to replace")
    with status(f"writing {out.name}"):
        write_stand_in(name, out, geometry=geometry, seed=seed)
    click.echo(out)


def _options(options: dict[str, Any]) -> OnnxOptions:
    from aves_convert.graph.options import OnnxOptions

    return OnnxOptions(**options)
