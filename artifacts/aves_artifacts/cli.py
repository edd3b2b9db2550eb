"""aves-artifacts: what is published, what is here, and whether it is whole."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from aves_artifacts.base.command_line import Group, path_type
from aves_artifacts.base.progress import status


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
    from aves_artifacts.configurations.listing import entries, lines
    from aves_artifacts.configurations.store import store

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
@click.option("--lock", type=path_type(), metavar="FILE", help="Where sizes and hashes are recorded and looked up.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=20.0, show_default=True, help="Seconds.")
@click.option("--offline", is_flag=True, help="Use no network: check what is here. Also $AVES_OFFLINE.")
def fetch(
    names: tuple[str, ...], everything: bool, only: str, lock: Path | None, timeout: float, offline: bool
) -> None:
    """Download published files into the store; go on where an earlier run ended.

    The first fetch records the size, ETag and SHA-256 of each file; later ones must bring the same bytes.
    """
    from aves_artifacts.base.messages import size_text
    from aves_artifacts.base.progress import bars
    from aves_artifacts.fetch.download import Network
    from aves_artifacts.fetch.fetcher import Fetcher, offline_by_environment, wanted_files
    from aves_artifacts.fetch.lock_file import LockFile, default_lock_file

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
@click.argument("folder", metavar="DIR", type=path_type(folder=True))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(context: click.Context, folder: Path, as_json: bool) -> None:
    """Check all of a bundle: hashes, missing and strange files, contents, ledger, report.

    Loads the weights, the safetensors copy and the ONNX graph, and runs nothing. Exit status: 0 all is as it was made,
    1 something is not, 2 there is no bundle.
    """
    from aves_artifacts.bundle.check import check_bundle

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


@main.command()
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=path_type(folder=True))
@click.argument("url", metavar="URL")
@click.option("--version", help="What the release is called; by default this tool's own version.")
@click.option("--stand-in", is_flag=True, help="Publish stand-ins too, marked as what they are.")
@click.option("--sign-key", type=path_type(), metavar="KEY", help="An Ed25519 private key in PEM.")
@click.option("--dry-run", is_flag=True, help="Check and show what would be uploaded; write nothing.")
def publish(
    folders: tuple[Path, ...], url: str, version: str | None, stand_in: bool, sign_key: Path | None, dry_run: bool
) -> None:
    """Publish verified bundles as one release at any fsspec address: file://, s3://, gs:// and others.

    Every bundle is checked anew and must have a report that passed. The files go to URL/VERSION, the index last; what
    is there already with the same hash is kept, other content is never replaced, and everything is read back. A run
    that was cut off is completed by running it again. Exit status: 0 it is published, 1 a bundle may not be, or
    something reads back differently, 2 the address holds other content or cannot be written.
    """
    from aves_artifacts.base.progress import bars
    from aves_artifacts.release.address import open_address
    from aves_artifacts.release.gate import all_verified
    from aves_artifacts.release.provenance import read_signer
    from aves_artifacts.release.publishing import plan, publish, told
    from aves_artifacts.release.staging import check_version, default_version, stage

    version = check_version(default_version() if version is None else version)
    signer = read_signer(sign_key) if sign_key else None
    address = open_address(url)
    with status("checking the bundles"):
        bundles = all_verified(folders, stand_ins=stand_in)
    with TemporaryDirectory(prefix="aves-release-") as folder:
        release = stage(bundles, version, Path(folder), signer)
        planned = plan(release, address)
        if dry_run:
            outcome = told(planned)
        else:
            with bars("uploading") as watcher:
                outcome = told(publish(planned, watcher))
    for line in outcome:
        click.echo(line)


@main.command()
@click.argument("url", metavar="URL")
@click.option("--key", type=path_type(), metavar="KEY", help="The signer's Ed25519 public key in PEM.")
def verify_release(url: str, key: Path | None) -> None:
    """Read a release from its address, URL/VERSION, and check everything: sums, reports, provenance, signature.

    Exit status: 0 all of it holds, 1 something does not, 2 there is no release.
    """
    from aves_artifacts.base.progress import bars
    from aves_artifacts.release.address import open_address
    from aves_artifacts.release.check import check_release, read_index, summary
    from aves_artifacts.release.provenance import read_public_key

    trusted = read_public_key(key) if key else None
    address = open_address(url)
    listed = read_index(address)
    with bars("reading") as watcher:
        check_release(listed, address, watcher, trusted)
    for line in summary(listed, key):
        click.echo(line)


@main.command()
@click.argument("folder", metavar="DIR", type=path_type(folder=True))
@click.option("--out", required=True, type=path_type(folder=True), metavar="FOLDER", help="The folder to prepare.")
@click.option("--push", "repository", metavar="REPO", help="Then upload it there, e.g. you/aves-base-bio.")
@click.option("--stand-in", is_flag=True, help="Take a stand-in too.")
@click.option("--force", is_flag=True, help="Replace files that are there already.")
def hub(folder: Path, out: Path, repository: str | None, stand_in: bool, force: bool) -> None:
    """Lay a verified bundle out as a repository of the Hugging Face Hub: files and model card.

    Nothing is uploaded without --push, which needs your token: $HF_TOKEN, or what hf auth login keeps.
    """
    from aves_artifacts.release.gate import all_verified
    from aves_artifacts.release.hub import client_for, prepare, push

    client = client_for(repository) if repository else None
    with status(f"checking {folder}"):
        (bundle,) = all_verified([folder], stand_ins=stand_in)
        files = prepare(bundle, out, force=force)
    for path in files:
        click.echo(path)
    if repository and client:
        with status(f"uploading to {repository}"):
            address = push(files, repository, client)
        click.echo(f"{address}: {len(files)} files are there as they are here")
