"""Reading a checkpoint from its file, completed from another file where it needs that."""

from __future__ import annotations

from pathlib import Path

from aves_convert.checkpoint.checkpoint import Checkpoint, checkpoint_of
from aves_convert.checkpoint.pretrained import with_pretrained_settings
from aves_convert.torch_files.reader import open_torch_file


def read_checkpoint(path: Path, pretrained: Path | None = None) -> Checkpoint:
    """Read a fairseq checkpoint: its settings, its labels, and where in the file each tensor lies.

    Nothing in the file is executed, and no tensor is read before it is asked for. ``pretrained`` is the checkpoint that
    this one was fine-tuned from, for files that fairseq wrote without the encoder's settings. Raises InputError for a
    file that is damaged, hostile, or no fairseq checkpoint, saying what it looks like.
    """
    checkpoint = checkpoint_of(open_torch_file(path))
    return checkpoint if pretrained is None else with_pretrained_settings(checkpoint, read_checkpoint(pretrained))
