"""Options that several commands share, each written once, with what it does and what its default means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Option = Callable[[Callable[..., Any]], Callable[..., Any]]  # a decorator of a command


def path_type(*, folder: bool = False) -> click.Path:
    """The type of a path on the command line; it need not exist, as whoever reads it says so better."""
    return click.Path(path_type=Path, file_okay=not folder)


def all_of(*options: Option) -> Option:
    """Make one decorator of several options; ``--help`` shows them in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def out(metavar: str, what: str, *short: str, folder: bool = False) -> Option:
    """The option for where results go: a file, or a folder for several. ``what`` they are is for the help."""
    told = (
        f"The folder to write {what} into; it is made where it is missing." if folder else f"The file to write: {what}."
    )
    return click.option(*short, "--out", required=True, type=path_type(folder=folder), metavar=metavar, help=told)


force = click.option(
    "--force", is_flag=True, help="Replace files that are there already. By default they are kept and nothing is done."
)

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for programs. By default text for people is printed."
)


def stand_in(effect: str) -> Option:
    """The option for stand-ins, checkpoints with made-up weights; ``effect`` is its help."""
    return click.option("--stand-in", is_flag=True, help=effect)


def layers(what: str) -> Option:
    """The option for the last layer or all of them; ``what`` becomes of their outputs is for the help."""
    return click.option(
        "--layers",
        type=click.Choice(["last", "all"]),
        default="last",
        show_default=True,
        help=f"{what}: the last layer's embeddings, or those of all layers.",
    )


def min_snr(meaning: str) -> Option:
    """The option for the decibels that a smaller graph must keep; ``meaning`` is the help."""
    return click.option("--min-snr", type=float, metavar="DB", help=meaning)


def min_cosine(meaning: str) -> Option:
    """The option for the cosine that each of its frames must have with the original's; ``meaning`` is the help."""
    return click.option("--min-cosine", type=float, metavar="X", help=meaning)


pretrained = click.option(
    "--pretrained",
    type=path_type(),
    metavar="CKPT",
    help="The checkpoint that this one was made from. Needed only for a file that lacks settings: a fine-tuned one "
    "without the encoder's, or weights alone. By default they are read from the file itself.",
)
geometry = click.option(
    "--geometry",
    type=click.Choice(["base", "large", "xlarge"]),
    help="For weights alone, the size that HuBERT was published in: it says what no tensor tells, such as strides and "
    "heads, and must be the tensors' own. By default settings are read from the file, or with --pretrained.",
)


def config(*, required: bool) -> Option:
    """The option for the JSON config that belongs to TorchAudio weights."""
    without = "" if required else " It goes with --torchaudio; by default there is none."
    return click.option(
        "--config",
        required=required,
        type=path_type(),
        metavar="JSON",
        help=f"The .model_config.json that belongs to the TorchAudio weights.{without}",
    )


def heads(why: str) -> Option:
    """The option for what lies beside TorchAudio weights, as they have no place for it; ``why`` it is given."""
    return click.option(
        "--heads",
        type=path_type(),
        metavar="FILE",
        help=f"The .heads.safetensors that belongs to the weights, {why}. By default there is none, but of a bundle "
        "its own.",
    )


more_ports = click.option(
    "--with",
    "also",
    metavar="LIST",
    default="",
    callback=lambda _context, _option, value: tuple(filter(None, dict.fromkeys(map(str.strip, value.split(","))))),
    help="More ports in a bundle: transformers, the folder NAME.transformers that HubertModel.from_pretrained loads; "
    "smaller graphs, onnx.float16-weights, onnx.float16 and onnx.int8. By default there are none.",
)

centroids = click.option(
    "--centroids",
    multiple=True,
    metavar="[layer.N=]FILE",
    help="Centroids [k, dimension] of units, in a .npy, .npz or .safetensors file: of that layer, or of every layer "
    "whose units there are. May be given several times. By default those of a bundle, else none.",
)

release_version = click.option(
    "--version",
    metavar="VERSION",
    help="What the release is called, which is the last part of its address.  [default: this tool's own version]",
)
sign_key = click.option(
    "--sign-key",
    type=path_type(),
    metavar="KEY",
    help="An Ed25519 private key (PEM) that signs the release's provenance. By default it is not signed.",
)
dry_run = click.option(
    "--dry-run",
    is_flag=True,
    help="Do everything but write to URL, and tell what would be written there. By default it is written.",
)
