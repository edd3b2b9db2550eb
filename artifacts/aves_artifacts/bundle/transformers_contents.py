"""Comparing the folder that transformers loads with the weights beside it, and with what the manifest says.

transformers is not needed for it, and no model is built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import printable, quoted, reason_of
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.bundle.manifest import FILE_NAMES, MANIFEST, TRANSFORMERS, LedgerEntry, Manifest, Role
from aves_artifacts.bundle.weights import StoredTensor, Weights, format_of, read_copy, same_bits, sha256_as
from aves_artifacts.files.documents import parse_json, read_file
from aves_artifacts.hugging_face.config import config_entries, folder_config, model_type_of, read_config
from aves_artifacts.hugging_face.names import MASK, torchaudio_names
from aves_artifacts.hugging_face.preprocessor import Preprocessor, preprocessor_entries
from aves_artifacts.hugging_face.tokenizer import tokenizer_entries

Told = tuple[Role, str]  # the file, and a sentence that begins with its name
_NEEDED: tuple[Role, ...] = ("transformers_config", "transformers_weights", "transformers_preprocessor")
_LETTERS: tuple[Role, ...] = ("transformers_vocabulary", "transformers_tokenizer")
# What the folder may have beside the encoder -> what sources of each format call it.
_BESIDE = {
    MASK: {"fairseq": "mask_emb", "transformers": MASK},
}


def layout_problems(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Tell which files of the folder are not recorded, or lie where transformers does not look: name and sentence."""
    files = {role: manifest.files[role].name for role in TRANSFORMERS if role in manifest.files}
    if not files:
        return
    letters = _LETTERS if any(role in files for role in _LETTERS) else ()
    for role in (*_NEEDED, *letters):
        if role not in files:
            yield MANIFEST, f"records a part of the folder for transformers, without {_base(role)}"
    if letters and manifest.config.aux_num_out is None:
        yield MANIFEST, "records letters for transformers, of an encoder without a head"
    inside = "/" in next(iter(files.values()))  # else in the bundle's folder itself, as a repository of the Hub has it
    for role, name in files.items():
        expected = FILE_NAMES[role].format(name=manifest.name) if inside else _base(role)
        if name != expected:
            yield name, f"lies elsewhere than the rest of what transformers loads: expected {printable(expected)}"


def problems_of_folder(bundle: Bundle, roles: tuple[Role, ...], reference: Weights | None) -> Iterator[Told]:
    """Tell where these files of the folder are not of this encoder; ``reference``: its weights, if they were read."""
    manifest = bundle.manifest
    contents = {role: _contents(role, bundle.path(role)) for role in roles}
    for role, content in contents.items():
        if isinstance(content, InputError):
            yield from ((role, problem) for problem in content.problems)
    found = {role: content for role, content in contents.items() if not isinstance(content, InputError)}
    weights: Weights | None = found.pop("transformers_weights", None)
    expected = _expected(manifest)
    if weights is not None and "transformers_config" in found:
        try:
            config = read_config(found["transformers_config"], "")
        except InputError as error:
            yield from (("transformers_config", f"is unusable{problem}") for problem in error.problems)
        else:
            told = _weight_problems(weights, config.prefix, manifest, reference)
            yield from (("transformers_weights", problem) for problem in told)
            expected["transformers_config"] = _expected_config(manifest)
    for role, entries in expected.items():
        if role in found:
            yield from ((role, problem) for problem in _entry_problems(found[role], entries))
    if "transformers_vocabulary" in found:
        told = _letter_problems(found["transformers_vocabulary"], manifest.config.aux_num_out or 0)
        yield from (("transformers_vocabulary", problem) for problem in told)


def _contents(role: Role, path: Path) -> Any:
    """A document's entries or a file's tensors; the error itself where it cannot be read."""
    try:
        return _tensors(path) if role == "transformers_weights" else _document(path)
    except InputError as error:
        return error


def _document(path: Path) -> dict[str, Any]:
    try:
        entries = parse_json(read_file(path))
    except (OSError, ValueError) as error:
        raise InputError(f"is unusable: {reason_of(error)}") from None
    if not isinstance(entries, dict):
        raise InputError(f"is unusable: expected a JSON object, found {type(entries).__name__}")
    return entries


def _tensors(path: Path) -> Weights:
    """The tensors, as transformers would load them: it refuses a file that does not say that they are torch's."""
    found = format_of(path)
    if found != "pt":
        raise InputError(f"says format {quoted(found)}, and transformers loads no other than 'pt'")
    return read_copy(path)


def _expected(manifest: Manifest) -> dict[Role, dict[str, Any]]:
    """The entries of the documents that are the same for every encoder, or follow from the manifest alone."""
    preprocessor = Preprocessor(manifest.encoder.normalize, manifest.encoder.sample_rate)
    return {
        "transformers_preprocessor": preprocessor_entries(preprocessor, manifest.config),
        "transformers_tokenizer": tokenizer_entries(),
    }


def _expected_config(manifest: Manifest) -> dict[str, Any]:
    """The entries for the manifest's encoder, of a model of the source's type, masked where the source's could be."""
    config = folder_config(manifest.config, model_type_of(manifest.source.model_class))
    mask = _BESIDE[MASK][manifest.source.format]
    return config_entries(config, masked=any(_is_dropped(entry, mask) for entry in manifest.ledger))


def _entry_problems(found: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    for name, value in expected.items():
        if name not in found:
            yield f"lacks {name}"
        elif found[name] != value or isinstance(found[name], bool) != isinstance(value, bool):
            yield f"has another {name} than this encoder: {quoted(found[name])}, expected {quoted(value)}"
    yield from (f"has {quoted(name)}, which no such file has" for name in found if name not in expected)


def _weight_problems(weights: Weights, prefix: str, manifest: Manifest, reference: Weights | None) -> Iterator[str]:
    """Tell where tensors are not the encoder's bit for bit, or, of those beside it, not the source's by their hash."""
    names = torchaudio_names(manifest.config, prefix)
    if prefix + MASK not in weights and any(
        _is_dropped(entry, _BESIDE[MASK][manifest.source.format]) for entry in manifest.ledger
    ):
        yield f"lacks {prefix + MASK}, which the source has"
    yield from (f"lacks {name}" for name in names if name not in weights)
    for name, tensor in weights.items():
        if tensor.dtype != "float32":
            yield f"has {printable(name)} in {printable(tensor.dtype)}, expected float32"
        elif name not in names:
            yield from _beside_problems(name, name.removeprefix(prefix), tensor, manifest)
        elif reference is not None and not (names[name] in reference and same_bits(tensor, reference[names[name]])):
            yield f"has another {name} than the weights beside it"


def _beside_problems(name: str, short: str, tensor: StoredTensor, manifest: Manifest) -> Iterator[str]:
    """Tell why a tensor that the encoder does not use is not the source's, of which the ledger has the hash."""
    original = _BESIDE.get(short, {}).get(manifest.source.format)
    entry = next((each for each in manifest.ledger if _is_dropped(each, original)), None)
    if original is None:
        yield f"has {printable(name)}, which the model has not"
    elif entry is None:
        yield f"has {printable(name)}, which the ledger does not account for"
    elif tensor.shape != entry.shape or sha256_as(tensor, entry.dtype) != entry.sha256:
        yield f"has another {printable(name)} than the source, whose hash the ledger has"


def _is_dropped(entry: LedgerEntry, name: str | None) -> bool:
    """Whether the source calls a tensor so that the port dropped; in a fine-tuned model it stands below another."""
    source = entry.source or ""
    return entry.action == "dropped" and name is not None and (source == name or source.endswith(f".{name}"))


def _letter_problems(found: Mapping[str, Any], letters: int) -> Iterator[str]:
    rows = [row for row in found.values() if isinstance(row, int) and not isinstance(row, bool) and 0 <= row < letters]
    if len(set(rows)) < len(found) or len(found) != letters:
        yield f"does not number letters as the {letters} rows of the head are"


def _base(role: Role) -> str:
    return FILE_NAMES[role].rpartition("/")[2]
