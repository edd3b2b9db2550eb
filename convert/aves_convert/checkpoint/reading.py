"""Reading a checkpoint from its file, completed from another file where it needs that."""

from __future__ import annotations

from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_convert.checkpoint.checkpoint import Checkpoint, checkpoint_of
from aves_convert.checkpoint.of_folder import checkpoint_of_folder
from aves_convert.checkpoint.pretrained import completed
from aves_convert.hugging_face.folder import open_folder
from aves_convert.torch_files.reader import open_torch_file


def read_checkpoint(path: Path, pretrained: Path | None = None, geometry: str | None = None) -> Checkpoint:
    """Read a fairseq checkpoint, or a folder of transformers: its settings, and where in the file each tensor lies.

    Nothing in the file is executed, and no tensor is read before it is asked for. ``pretrained`` is the checkpoint that
    this one was made from, for files that lack settings: fine-tuned ones, which fairseq writes without those of the
    encoder, and weights alone. For weights of a size that HuBERT was published in, ``geometry`` will do: ``base``,
    ``large`` or ``xlarge``. Raises InputError for a file that is damaged, hostile, or no fairseq checkpoint, saying
    what it looks like, and where settings contradict the tensors.
    """
    if path.is_dir():
        if pretrained is not None or geometry is not None:
            raise InputError(f"{path}: a folder has its settings in it; leave out what completes a file")
        return checkpoint_of_folder(open_folder(path))
    checkpoint = checkpoint_of(open_torch_file(path))
    return completed(checkpoint, None if pretrained is None else read_checkpoint(pretrained), geometry)
