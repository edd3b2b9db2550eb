"""Finding the tensors of a folder: in one file or in several, in safetensors or as ``torch.save`` writes them.

Source: transformers ``modeling_utils.py`` (``_get_resolved_checkpoint_files``) and ``utils/hub.py``
(``get_checkpoint_shard_files``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aves_artifacts.base.errors import InputError, raise_if_any
from aves_artifacts.base.messages import printable, quoted, reason_of
from aves_artifacts.files.documents import parse_json, read_file
from aves_artifacts.hugging_face.names import WEIGHTS
from aves_convert.torch_files.reader import open_torch_file
from aves_convert.torch_files.safetensors_reader import open_safetensors
from aves_convert.torch_files.tensors import LazyTensor

INDEX = ".index.json"
_TORCHS = "pytorch_model.bin"
# In transformers' own order; what an index lists is of the kind that its name begins with.
PLACES = (WEIGHTS, WEIGHTS + INDEX, _TORCHS, _TORCHS + INDEX)
_MOST_SHARDS = 1_000
_LONGEST = 255  # characters of a file's name, which no system has more of
_MAX_INDEX = 16 << 20  # bytes


def weight_files(folder: Path) -> list[Path]:
    """List the files in which the weights lie, the index first where there is one. Raises InputError without any."""
    place = next((folder / name for name in PLACES if (folder / name).is_file()), None)
    if place is None:
        others = [name for name in ("tf_model.h5", "flax_model.msgpack") if (folder / name).is_file()]
        found = f" (there is {others[0]}, which is another library's)" if others else ""
        raise InputError(f"{folder}: no weights{found}; expected {WEIGHTS} or {_TORCHS}, or the index of several files")
    return [place, *_shards(place)] if place.name.endswith(INDEX) else [place]


def stored_tensors(files: list[Path]) -> dict[str, LazyTensor]:
    """Open those files; return every tensor by name, none of them read.

    Raises InputError for files that hold something else, or other tensors than their index says.
    """
    first, *rest = files
    if not first.name.endswith(INDEX):
        return _tensors(first)
    found: dict[str, LazyTensor] = {}
    problems = []
    listed = _index(first)
    for path in rest:
        tensors = _tensors(path)
        wanted = {name for name, file in listed.items() if file == path.name}
        problems += [f"{path.name} lacks {printable(name)}" for name in sorted(wanted - tensors.keys())]
        problems += [f"{path.name} has {printable(name)}, which is not its" for name in sorted(tensors.keys() - wanted)]
        found |= tensors
    raise_if_any(problems, f"{first}: the files are not those that it lists")
    return {name: found[name] for name in listed}


def _tensors(path: Path) -> dict[str, LazyTensor]:
    if path.name.endswith(".safetensors"):
        return open_safetensors(path)
    file = open_torch_file(path)
    root = file.root
    if not isinstance(root, dict) or not all(type(n) is str and isinstance(t, LazyTensor) for n, t in root.items()):
        raise InputError(f"{path}: holds something else than a state dict, which transformers would not load")
    file.refuse_repeated(root.values())
    return dict(root)


def _index(path: Path) -> Mapping[str, str]:
    """By tensor, the name of the file that it lies in. Raises InputError."""
    try:
        entries = parse_json(read_file(path, _MAX_INDEX))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read the index: {reason_of(error)}") from None
    listed = entries.get("weight_map") if isinstance(entries, dict) else None
    if not isinstance(listed, dict) or not listed:
        raise InputError(f"{path}: no index of weights: it has no weight_map")
    ending = ".safetensors" if path.name.startswith(WEIGHTS) else ".bin"
    for name in dict.fromkeys(quoted(file) if not isinstance(file, str) else file for file in listed.values()):
        plain = Path(name).name == name and name.isprintable() and len(name) <= _LONGEST
        if not plain or not name.endswith(ending):
            raise InputError(f"{path}: lists a file {quoted(name)}, expected one beside it that ends with {ending}")
    return listed


def _shards(index: Path) -> list[Path]:
    names = list(dict.fromkeys(_index(index).values()))
    if len(names) > _MOST_SHARDS:
        raise InputError(f"{index}: lists {len(names):,} files, expected at most {_MOST_SHARDS:,}")
    return [index.with_name(name) for name in names]
