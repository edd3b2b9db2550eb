"""Publishes the release that ``plain_release`` makes, in a process of its own that can be killed.

Arguments: folder for the sources, number of files, their size, seed, address. The exit status is that of the command.
"""

import resource
import sys
import threading
from pathlib import Path

import click
from tests.support.plain_releases import plain_release

from aves_artifacts.base.command_line import Group
from aves_artifacts.base.progress import Silent
from aves_artifacts.files.address import open_address
from aves_artifacts.release.publishing import plan_upload, publish, told


class Stuck(Silent):
    """A Watcher who never lets a file go: whoever kills this process is never too late."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def held(self, path: Path, size: int) -> None:  # noqa: ARG002 - as a Watcher is told
        if path == self._file:
            threading.Event().wait()


@click.group(cls=Group)
def main() -> None:
    """As the real command."""


@main.command()
@click.argument("folder")
@click.argument("files", type=int)
@click.argument("size", type=int)
@click.argument("seed", type=int)
@click.argument("url")
@click.option("--largest", type=int, help="The size of the largest file that can be written.")
@click.option("--stuck", is_flag=True, help="Never get done with the last file.")
def run(folder: str, files: int, size: int, seed: int, url: str, largest: int | None, stuck: bool) -> None:
    """Publish."""
    release = plain_release(Path(folder), files=files, size=size, seed=seed)
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    print("begin", flush=True)
    watcher = Stuck(release.files[-1].source) if stuck else Silent()
    for line in told(publish(plan_upload(release, open_address(url)), watcher)):
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
