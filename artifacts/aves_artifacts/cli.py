"""aves-artifacts: what is published, what is here, and whether it is whole."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aves_artifacts.command_line import Group, existing


@click.group(cls=Group)
@click.version_option(package_name="aves-ports")
def main() -> None:
    """What is published, what is here, and whether it is whole."""


@main.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_configurations(as_json: bool) -> None:
    """List the configurations of the catalogue, and what is here of them.

    $AVES_CATALOG names a catalogue of your own, whose configurations are added.
    """
    from aves_artifacts.listing import entries, lines
    from aves_artifacts.store import store

    if as_json:
        click.echo(json.dumps(entries(), indent=2))
        return
    for line in lines():
        click.echo(line)
    click.echo(f"The store is {store()}")


@main.command()
@click.argument("folder", metavar="DIR", type=existing(folder=True))
@click.pass_context
def check(context: click.Context, folder: Path) -> None:
    """Check that the files of a bundle are those that its manifest records. Exit status 1 where one is not."""
    from aves_artifacts.bundle import hash_problems, read_bundle
    from aves_artifacts.encoder_config import EncoderConfig

    bundle = read_bundle(folder)
    problems = hash_problems(bundle)
    if not problems:
        EncoderConfig.read(bundle.path("config"))
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        context.exit(1)
    click.echo(f"{folder}: {len(bundle.manifest.files)} files are as the manifest records them")
