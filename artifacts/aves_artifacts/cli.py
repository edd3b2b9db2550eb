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
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Every configuration of the catalogue.")
@click.option("--only", metavar="ROLES", default="", help="Some of original,torchaudio,config,onnx.")
@click.option("--lock", type=existing(), metavar="FILE", help="Where sizes and hashes are recorded and looked up.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=20.0, show_default=True, help="Seconds.")
@click.option("--offline", is_flag=True, help="Use no network: check what is here. Also $AVES_OFFLINE.")
def fetch(
    names: tuple[str, ...], everything: bool, only: str, lock: Path | None, timeout: float, offline: bool
) -> None:
    """Download published files into the store; go on where an earlier run ended.

    The first fetch records the size, ETag and SHA-256 of each file; later ones must bring the same bytes.
    """
    from aves_artifacts.download import Network
    from aves_artifacts.fetch import Fetcher, offline_by_environment, wanted_files
    from aves_artifacts.fetch_progress import bars
    from aves_artifacts.listing import size_text
    from aves_artifacts.lock_file import LockFile, default_lock_file

    wanted = wanted_files(names, everything=everything, roles=[role for role in only.split(",") if role])
    with bars() as watcher:
        fetcher = Fetcher(
            lock=LockFile(lock) if lock else default_lock_file(),
            watcher=watcher,
            network=Network(timeout=timeout),
            offline=offline or offline_by_environment(),
        )
        fetched = fetcher.fetch(wanted)
    for file in fetched:
        click.echo(f"{file.path}  {size_text(file.size)}{', already here' if file.was_here else ''}")
    click.echo(f"{len(fetched)} files are as {fetcher.lock.path} records them")


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
