"""Preparing a bundle as a repository of the Hugging Face Hub, and uploading it with the user's own token."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.base.extras import need
from aves_artifacts.base.messages import reason_of
from aves_artifacts.bundle.manifest import FILE_NAMES, MANIFEST, REDUCED, REPORT, TRANSFORMERS, Role
from aves_artifacts.bundle.model_card import with_card
from aves_artifacts.files.file_record import FileRecord, sha256_of
from aves_artifacts.files.writing import staged
from aves_artifacts.release.gate import Verified

if TYPE_CHECKING:
    from huggingface_hub import HfApi

ATTRIBUTES = ".gitattributes"
# What git must not hold itself. The Hub writes such a file into a new repository; who pushes with git needs it too.
_LARGE = ("*.pt", "*.onnx", "*.onnx.data", "*.safetensors")


def prepare(bundle: Verified, out: Path, *, force: bool = False) -> list[Path]:
    """Copy a bundle's files into a folder that is laid out as the Hub shows it; return their paths.

    The folder is a bundle still, with its report. What transformers loads lies in it as in a repository's root, and the
    model card and the manifest say so. Raises InputError where it cannot be written.
    """
    source, before = bundle.bundle.folder, bundle.bundle.manifest
    at_root = {role: replace(record, name=_name_at_root(role, record)) for role, record in before.files.items()}
    manifest, card = before, (source / FILE_NAMES["card"]).read_bytes()
    if at_root != before.files:
        manifest, card = with_card(replace(before, files=at_root), bundle.report)
    names = [record.name for record in manifest.files.values()] + [REPORT]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(
            f"{source}: two of its files would be called {twice[0]} at the Hub; make the bundle anew under another name"
        )
    beside = [FILE_NAMES[role].format(name=manifest.name) for role in ("onnx_data", "int8_search", *REDUCED.values())]
    optional = [*beside, *map(_base, TRANSFORMERS)]
    with staged(out, [*dict.fromkeys([*names, *optional, ATTRIBUTES]), MANIFEST], force=force) as staging:
        for role, record in before.files.items():
            shutil.copyfile(source / record.name, staging / at_root[role].name)
        shutil.copyfile(source / REPORT, staging / REPORT)
        (staging / FILE_NAMES["card"]).write_bytes(card)
        (staging / MANIFEST).write_bytes(manifest.to_json().encode())
        lines = (f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in _LARGE)
        (staging / ATTRIBUTES).write_text("".join(lines), encoding="utf-8")
    return [out / name for name in (*names, ATTRIBUTES, MANIFEST)]


def _name_at_root(role: Role, record: FileRecord) -> str:
    """Name a file as it is called in a repository, where transformers finds nothing in folders by itself."""
    return _base(role) if role in TRANSFORMERS else record.name


def _base(role: Role) -> str:
    return FILE_NAMES[role].rpartition("/")[2]


def client_for(repository: str) -> HfApi:
    """Make the Hub's client with the user's token: ``$HF_TOKEN``, or what ``hf auth login`` keeps.

    Raises InputError without the package or a token.
    """
    need("uploading to the Hub", "hub")
    from huggingface_hub import HfApi, get_token

    token = get_token()
    if not token:
        raise InputError(
            f"{repository}: there is no token to upload with; set $HF_TOKEN or run: hf auth login; nothing was done"
        )
    return HfApi(token=token, library_name="aves-ports")


def push(files: list[Path], repository: str, client: HfApi) -> str:
    """Upload prepared files as one commit, and compare what the Hub says it holds with them; return its address.

    Raises InputError where the Hub refuses, DoesNotHoldError where it holds something else afterwards.
    """
    from huggingface_hub import CommitOperationAdd

    added = [CommitOperationAdd(path_in_repo=path.name, path_or_fileobj=str(path)) for path in files]
    try:
        client.create_repo(repository, exist_ok=True)
        made = client.create_commit(repository, added, commit_message=f"Files of {files[0].parent.name}")
        held = {entry.path: entry for entry in client.list_repo_tree(repository, revision=made.oid)}
    except Exception as error:  # of the Hub's client, of the network, of what the name looks like
        raise InputError(f"{repository}: the Hub did not take it: {reason_of(error)}") from error
    problems = list(_differences(files, held))
    if problems:
        raise DoesNotHoldError(*(f"{repository}: {problem}" for problem in problems))
    return f"{client.endpoint}/{repository}/tree/{made.oid}"


def _differences(files: list[Path], held: dict[str, Any]) -> Iterator[str]:
    for path in files:
        entry = held.get(path.name)
        if entry is None:
            yield f"{path.name} is missing after the upload"
            continue
        same = entry.lfs.sha256 == sha256_of(path) if entry.lfs else entry.blob_id == _git_blob(path)
        if not same:
            yield f"{path.name} is not what was uploaded: the Hub has another hash"


def _git_blob(path: Path) -> str:
    """The name that git gives to a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()
