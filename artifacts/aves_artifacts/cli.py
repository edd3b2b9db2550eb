"""aves-artifacts: what is published, what is here, and whether it is whole."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aves_artifacts.command_line import Group, existing, status


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
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(context: click.Context, folder: Path, as_json: bool) -> None:
    """Check all of a bundle: hashes, missing and strange files, contents, ledger, report.

    Loads the weights, the safetensors copy and the ONNX graph, and runs nothing. Exit status: 0 all is as it was made,
    1 something is not, 2 there is no bundle.
    """
    from aves_artifacts.bundle_check import check_bundle

    with status(f"checking {folder}"):
        checked = check_bundle(folder)
    if as_json:
        click.echo(checked.to_json())
    for problem in () if as_json else checked.problems:
        click.echo(f"{folder / problem.file} {problem.problem}", err=True)
    if checked.problems:
        context.exit(1)
    if checked.manifest is not None and not as_json:
        verdict = "a report on them that passed" if checked.verified else "no report: they were not verified"
        click.echo(f"{folder}: {len(checked.manifest.files)} files are as they were made, with {verdict}")
