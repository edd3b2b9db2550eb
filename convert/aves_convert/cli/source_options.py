"""The options of what is converted, and what they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aves_artifacts.base import options

if TYPE_CHECKING:
    from aves_convert.conversion.request import Source

name_option = click.option(
    "--name",
    metavar="NAME",
    help="What the files' names begin with, e.g. NAME.onnx.  [default: the source's own name without its ending]",
)
allow_non_finite = click.option(
    "--allow-non-finite",
    is_flag=True,
    help="Convert weights that are NaN or infinite as they are. By default such a checkpoint is refused as damaged.",
)
source_options = options.all_of(
    options.pretrained,
    options.geometry,
    allow_non_finite,
    click.option(
        "--allow-unknown-config",
        is_flag=True,
        help="Convert although the config has entries that are not fairseq's, as if they were not there. By default "
        "such a checkpoint is refused: nobody knows what they do to the network.",
    ),
    options.centroids,
)


def source_of(checkpoint: Path, given: dict[str, Any]) -> Source:
    """What is converted; its options are taken out of those that were given."""
    from aves_convert.conversion.request import Source, by_layer

    names = ("pretrained", "geometry", "allow_non_finite", "allow_unknown_config")
    centroids = by_layer(given.pop("centroids"))
    return Source(checkpoint, **{name: given.pop(name) for name in names}, centroids=centroids)
