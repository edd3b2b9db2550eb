"""Writing files so that each appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import reason_of
from aves_artifacts.files.documents import check_regular

PARTIAL = ".partial"  # how temporary files end
REPLACE = "give {force} to replace"  # the hint where a file is there already


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block ends without an error.

    A killed run leaves the old file or the new one. Raises InputError where nothing can be written.
    """
    with _beside(path, Path.replace) as temporary:
        yield temporary


@contextmanager
def creating(path: Path) -> Iterator[Path]:
    """Like ``replacing``, but never overwrites: raises FileExistsError where a file of this name is or has just come.

    A hard link gives the name, because of two processes at once only one can make it. Raises InputError where nothing
    can be written, or the file system has no hard links.
    """
    with _beside(path, os.link) as temporary:
        yield temporary


@contextmanager
def _beside(path: Path, give_name: Callable[[Path, Path], object]) -> Iterator[Path]:
    try:
        make_folder(path.parent)
        temporary = _created(path)
        mode = temporary.stat().st_mode
    except OSError as error:
        raise InputError(f"{path}: cannot write here: {reason_of(error)}; choose another folder") from None
    try:
        yield temporary
        if temporary.stat().st_mode != mode:  # a library has put a private file of its own in its place
            temporary.chmod(stat.S_IMODE(mode))
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        give_name(temporary, path)
    except FileExistsError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot write: {reason_of(error)}") from error
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing. Raises OSError.

    Path.mkdir does that too, but calls itself for each, and a path can have more parts than the stack has room for.
    """
    missing = [path]
    while not missing[-1].parent.is_dir() and missing[-1].parent != missing[-1]:
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)


def check_writable(path: Path) -> None:
    """Raise InputError where ``path`` could not be written, before any work is done for it. Leaves nothing behind."""
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it first")
    try:
        _created(path).unlink()
    except OSError as error:
        raise InputError(f"{path}: cannot write here: {reason_of(error)}; choose another folder") from None


def _created(path: Path) -> Path:
    """A new file beside ``path``, with the permissions of any new file: mkstemp's are private.

    Raises OSError, also where ``path`` is a pipe or a device: the new file would take its place, /dev/null's too.
    """
    with contextlib.suppress(FileNotFoundError, IsADirectoryError):
        check_regular(path)
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}{PARTIAL}")
    temporary.touch(exist_ok=False)
    return temporary


@contextmanager
def staged(folder: Path, names: Sequence[str], *, force: bool) -> Iterator[Path]:
    """Yield an empty folder beside ``folder``'s files; move what was written there into place when the block succeeds.

    ``names`` are all the files that may be written; one that is not is removed where an earlier run wrote it. The
    last one is moved last and removed first, so that it never stands beside files that it does not describe. Raises
    InputError where one of them exists already (without ``force``) or nothing can be written.
    """
    _check_places(folder, names)
    existing = [name for name in names if (folder / name).exists()]
    if existing and not force:
        there = folder / existing[0] if len(existing) == 1 else f"{folder}: {', '.join(existing)}"
        raise InputError(f"{there}: already there; nothing was written", hint=REPLACE)
    made = not folder.exists()
    try:
        make_folder(folder)
        staging = Path(tempfile.mkdtemp(dir=folder, prefix=".partial-"))
    except OSError as error:
        raise InputError(f"{folder}: cannot write here: {reason_of(error)}; choose another folder") from None
    try:
        yield staging
        _move(staging, folder, names)
    except OSError as error:
        raise InputError(f"{folder}: cannot write: {reason_of(error)}") from error
    except InputError as error:  # it names the files where they lie now, and the reader knows where they belong
        problems = error.problems
        for name in names:
            problems = tuple(problem.replace(str(staging / name), str(folder / name)) for problem in problems)
        raise InputError(*problems, hint=error.hint) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if made and not any(folder.iterdir()):
            folder.rmdir()


def _check_places(folder: Path, names: Sequence[str]) -> None:
    """Raise InputError where a folder has the name of a file, or a file that of a folder which files go to."""
    for name in names:
        place = (folder / name).parent
        if (folder / name).is_dir():
            raise InputError(f"{folder / name}: this is a folder; give the name of a file in it")
        if place != folder and place.exists() and not place.is_dir():
            raise InputError(f"{place}: this is a file, expected a folder; remove it, or choose another folder")


def _move(staging: Path, folder: Path, names: Sequence[str]) -> None:
    """Give every file its place; what was not written anew goes, and a folder that is left empty with it."""
    (folder / names[-1]).unlink(missing_ok=True)
    for name in names:
        if (staging / name).exists():
            (folder / name).parent.mkdir(exist_ok=True)  # a name may have a folder of its own
            (staging / name).replace(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    for place in {(folder / name).parent for name in names} - {folder}:
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()
