"""aves-artifacts on the command line: fetch published encoders, check bundles, and publish them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from aves_artifacts.base import options
from aves_artifacts.base.command_line import Group, say
from aves_artifacts.base.options import path_type
from aves_artifacts.base.progress import showing

if TYPE_CHECKING:
    from aves_artifacts.bundle.check import Checked

_STAND_IN = "Take bundles of stand-ins too (made-up weights, for trials), marked as such. By default they are refused."


@click.group(cls=Group)
@click.version_option(package_name="aves-ports")
def main() -> None:
    """Fetch published encoders, check bundles of converted files, and publish them.

    A bundle is the folder that aves-convert bundle writes. The store is where downloads lie: $AVES_HOME, by default
    this system's cache folder.
    """


@main.command(name="list")
@options.as_json
def list_configurations(as_json: bool) -> None:
    """List the encoders that have a name, and what is here.

    They are the configurations of the catalogue; $AVES_CATALOG names a catalogue of your own, which is added.
    """
    from aves_artifacts.configurations.listing import lines, listing_json
    from aves_artifacts.configurations.store import store

    if as_json:
        click.echo(listing_json())
        return
    for line in lines():
        say(line)
    say(f"The store is {store()}")


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Fetch every configuration of the catalogue. By default those that are named.",
)
@click.option(
    "--only",
    "roles",
    metavar="ROLES",
    default="",
    help="Fetch only these files of each, e.g. original,onnx. By default all that are published of: original, "
    "torchaudio, config, onnx.",
)
@click.option(
    "--lock",
    type=path_type(),
    metavar="FILE",
    help="The JSON file that keeps the size and SHA-256 of each file, which a later fetch must meet.  [default: "
    "$AVES_LOCK, else aves.lock.json in the store]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    default=20.0,
    show_default=True,
    help="How long a server may send nothing, in seconds, until it is asked again.",
)
@click.option(
    "--offline",
    is_flag=True,
    help="Use no network, only check what is in the store. By default missing files are downloaded, unless "
    "$AVES_OFFLINE is set.",
)
def fetch(
    names: tuple[str, ...], everything: bool, roles: str, lock: Path | None, timeout: float, offline: bool
) -> None:
    """Download published files into the store.

    NAME is a configuration of the catalogue, as aves-artifacts list shows it. A download that was cut off goes on where
    it ended. The first fetch records the size, ETag and SHA-256 of each file; later ones must bring the same bytes.
    """
    from aves_artifacts.base.messages import size_text
    from aves_artifacts.base.progress import transfer_bars
    from aves_artifacts.fetch.download import Network
    from aves_artifacts.fetch.fetcher import Fetcher, offline_by_environment, wanted_files
    from aves_artifacts.fetch.lock_file import LockFile, default_lock_file

    wanted = wanted_files(names, everything=everything, roles=[role for role in roles.split(",") if role])
    with transfer_bars() as watcher:
        fetcher = Fetcher(
            lock=LockFile(lock) if lock else default_lock_file(),
            watcher=watcher,
            network=Network(timeout=timeout),
            offline=offline or offline_by_environment(),
        )
        fetched = fetcher.fetch_files(wanted)
    for file in fetched:
        say(f"{file.path}  {size_text(file.size)}{', already here' if file.was_here else ''}")
    say(f"{len(fetched)} files are as {fetcher.lock.path} records them")


@main.command()
@click.argument("folder", metavar="DIR", type=path_type(folder=True))
@options.as_json
@click.pass_context
def check(context: click.Context, folder: Path, as_json: bool) -> None:
    """Check that a bundle is whole and as it was made.

    Looks at hashes, missing and strange files, contents, the ledger of tensors, and the report. Loads the weights, the
    safetensors copy and the ONNX graph, and runs nothing; what it leaves out where torch or ONNX Runtime is not
    installed, it says. Exit status: 0 all is as it was made, 1 something is not, 2 there is no bundle.
    """
    from aves_artifacts.bundle.check import check_bundle

    with showing(f"checking {folder}"):
        checked = check_bundle(folder)
    if as_json:
        click.echo(checked.to_json())
    else:
        _tell(checked)
    context.exit(0 if checked.passed else 1)


def _tell(checked: Checked) -> None:
    for problem in checked.problems:
        say(f"{checked.folder / problem.file} {problem.problem}", err=True)
    if checked.passed and checked.manifest is not None:
        verdict = "a report on them that passed" if checked.verified else "no report: they were not verified"
        say(f"{checked.folder}: {len(checked.manifest.files)} files are as they were made, with {verdict}")
    for left in checked.not_checked:
        say(f"{checked.folder / left.file} {left.what}")


@main.command()
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=path_type(folder=True))
@click.argument("url", metavar="URL")
@options.release_version
@options.stand_in(_STAND_IN)
@options.sign_key
@options.dry_run
def publish(
    folders: tuple[Path, ...], url: str, version: str | None, stand_in: bool, sign_key: Path | None, dry_run: bool
) -> None:
    """Publish verified bundles as one release.

    URL is any address that fsspec knows: file://, s3://, gs:// and others. Every bundle is checked anew and must have a
    report that passed. The files go to URL/VERSION, the index last; what is there already with the same hash is kept,
    other content is never replaced, and everything is read back. A run that was cut off is completed by running it
    again. Exit status: 0 it is published, 1 a bundle may not be, or something reads back differently, 2 the address
    holds other content or cannot be written.
    """
    from aves_artifacts.base.extras import need
    from aves_artifacts.base.progress import transfer_bars
    from aves_artifacts.files.address import open_address
    from aves_artifacts.release.gate import all_verified
    from aves_artifacts.release.provenance import read_signer
    from aves_artifacts.release.publishing import plan_upload, publish, told
    from aves_artifacts.release.staging import stage, usable_version

    need("aves-artifacts publish", "release")
    version = usable_version(version)
    signer = read_signer(sign_key) if sign_key else None
    address = open_address(url)
    with showing("checking the bundles"):
        bundles = all_verified(folders, stand_ins=stand_in)
    with TemporaryDirectory(prefix="aves-release-") as folder:
        release = stage(bundles, version, Path(folder), signer)
        planned = plan_upload(release, address)
        if dry_run:
            outcome = told(planned)
        else:
            with transfer_bars("uploading") as watcher:
                outcome = told(publish(planned, watcher))
    for line in outcome:
        say(line)


@main.command()
@click.argument("url", metavar="URL")
@click.option(
    "--key",
    type=path_type(),
    metavar="KEY",
    help="The signer's Ed25519 public key (PEM), to check the signature with. By default it is not checked who signed.",
)
def verify_release(url: str, key: Path | None) -> None:
    """Check a published release, file by file.

    URL is the address of one version. Every file is read and held against the sums, the reports, the provenance and the
    signature. Exit status: 0 all of it holds, 1 something does not, 2 there is no release.
    """
    from aves_artifacts.base.extras import need
    from aves_artifacts.base.progress import transfer_bars
    from aves_artifacts.files.address import open_address
    from aves_artifacts.release.check import check_release, read_index, summary
    from aves_artifacts.release.provenance import read_public_key

    need("aves-artifacts verify-release", "release")
    trusted = read_public_key(key) if key else None
    address = open_address(url)
    listed = read_index(address)
    with transfer_bars("reading") as watcher:
        remarks = check_release(listed, address, watcher, trusted)
    for line in (*summary(listed, key), *remarks):
        say(line)


@main.command()
@click.argument("folder", metavar="DIR", type=path_type(folder=True))
@options.out("FOLDER", "the repository's files", folder=True)
@click.option(
    "--push",
    "repository",
    metavar="REPO",
    help="Upload the files to this repository of the Hub, e.g. you/aves-base-bio. By default nothing is uploaded.",
)
@options.stand_in(_STAND_IN)
@options.force
def hub(folder: Path, out: Path, repository: str | None, stand_in: bool, force: bool) -> None:
    """Lay a bundle out for the Hugging Face Hub.

    The bundle must have a report that passed. The folder gets its files and model card, as a repository has them: what
    transformers loads lies beside the others, where AutoModel.from_pretrained("REPO") finds it.
    Nothing is uploaded without --push, which needs your token: $HF_TOKEN, or what hf auth login keeps.
    """
    from aves_artifacts.release.gate import all_verified
    from aves_artifacts.release.hub import client_for, prepare, push

    client = client_for(repository) if repository else None
    with showing(f"checking {folder}"):
        (bundle,) = all_verified([folder], stand_ins=stand_in)
        files = prepare(bundle, out, force=force)
    for path in files:
        say(path)
    if repository and client:
        with showing(f"uploading to {repository}"):
            address = push(files, repository, client)
        say(f"{address}: {len(files)} files are there as they are here")
