"""Converting a checkpoint to the folder that transformers loads."""

from __future__ import annotations

from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.file_record import unchanged
from aves_artifacts.files.writing import staged
from aves_artifacts.hugging_face.names import ADAPTER, PROCESSOR
from aves_convert.conversion.convert import converted_heads, taken
from aves_convert.conversion.remarks import Tell, silent
from aves_convert.conversion.request import Source
from aves_convert.weights.heads import NO_HEADS
from aves_convert.weights.to_transformers import FOLDER_FILES, to_transformers


def fairseq_to_transformers(
    source: Source, out: Path, *, heads: bool = False, force: bool = False, tell: Tell = silent
) -> list[Path]:
    """Convert a fairseq checkpoint to a folder for ``HubertModel.from_pretrained``; return the files' paths.

    A checkpoint with a head becomes ``HubertForCTC`` with its letters, wav2vec 2.0 ``Wav2Vec2Model``. ``heads`` puts
    ``final_proj`` into the weights too. ``tell`` gets a line for everything that is out of the ordinary. Raises
    InputError.
    """
    for name in (PROCESSOR, ADAPTER):
        if (out / name).exists():
            raise InputError(f"{out}: there is {name}, which transformers would read too; choose another folder")
    with staged(out, FOLDER_FILES, force=force) as staging, unchanged(*source.files):
        read = source.read()
        converted = taken(source, read, tell)
        found = converted_heads(source, read, converted.architecture) if heads else NO_HEADS
        to_transformers(read, converted, found).write(staging)
    return [out / name for name in FOLDER_FILES if (out / name).exists()]
