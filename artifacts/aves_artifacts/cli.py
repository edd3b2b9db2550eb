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
    """List the configurations of the catalogue, and what is here of them."""
    from dataclasses import asdict

    from aves_artifacts.catalog import catalog
    from aves_artifacts.store import store

    here = {c.name: [p.name for p in sorted((store() / c.file_name).glob("[!.]*"))] for c in catalog().values()}
    if as_json:
        click.echo(json.dumps([asdict(c) | {"files": here[c.name]} for c in catalog().values()], indent=2))
        return
    for configuration in catalog().values():
        files = ", ".join(here[configuration.name]) or "nothing here"
        click.echo(f"{configuration.name:8} {configuration.hours:5} h  {configuration.pretraining}")
        click.echo(f"{'':17} {files}")
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
