"""A bundle with the folder for transformers: damage that the manifest goes along with is found in it too."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file
from tests.support.bundles import NAME, copied, problems, sealed
from tests.support.fairseq_models import LETTERS, Variant, build

from aves_artifacts.base.process import Limits
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.bundle.manifest import FILE_NAMES, MANIFEST, TRANSFORMERS, Role
from aves_artifacts.cli import main
from aves_artifacts.files.file_record import FileRecord
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target

FOLDER = f"{NAME}.transformers"
SOME = "encoder.layers.1.attention.k_proj.bias"
Tensors = dict[str, Any]


@pytest.fixture
def bundle(tiny_with_folder: Bundle, tmp_path: Path) -> Bundle:
    return copied(tiny_with_folder, tmp_path / "bundle")


def entries(bundle: Bundle, role: Role) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bundle.path(role).read_text())
    return found


def reweighted(change: Callable[[Tensors], object], **metadata: str) -> Callable[[Bundle], None]:
    def damage(bundle: Bundle) -> None:
        tensors = load_file(bundle.path("transformers_weights"))
        change(tensors)
        save_file(tensors, bundle.path("transformers_weights"), metadata=metadata or {"format": "pt"})

    return damage


def rewritten(role: Role, **changed: Any) -> Callable[[Bundle], None]:
    """With these entries; ... takes one away."""

    def damage(bundle: Bundle) -> None:
        found = {name: value for name, value in (entries(bundle, role) | changed).items() if value is not ...}
        bundle.path(role).write_text(json.dumps(found))

    return damage


def one_bit(name: str) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        tensors[name].view(np.uint32).reshape(-1)[3] ^= 1

    return change


CONFIG: Role = "transformers_config"
PREPROCESSOR: Role = "transformers_preprocessor"
DAMAGED: dict[str, tuple[Callable[[Bundle], object], str]] = {
    "one bit of one weight": (reweighted(one_bit(SOME)), f"model.safetensors has another {SOME} than the weights"),
    "a renamed weight": (
        reweighted(lambda tensors: tensors.update(extra=tensors.pop(SOME))),
        "model.safetensors has extra, which the model has not",
    ),
    "a missing weight": (reweighted(lambda tensors: tensors.pop(SOME)), f"model.safetensors lacks {SOME}"),
    "another shape": (
        reweighted(lambda tensors: tensors.update({SOME: np.zeros(3, np.float32)})),
        f"has another {SOME} than",
    ),
    "half precision": (
        reweighted(lambda tensors: tensors.update({SOME: tensors[SOME].astype(np.float16)})),
        f"has {SOME} in float16, expected float32",
    ),
    "half precision beside": (
        reweighted(lambda tensors: tensors.update(masked_spec_embed=np.zeros(24, np.float16))),
        "has masked_spec_embed in float16, expected float32",
    ),
    "one bit of the mask": (
        reweighted(one_bit("masked_spec_embed")),
        "has another masked_spec_embed than the source, whose hash the ledger has",
    ),
    "weights that do not say whose": (
        reweighted(lambda _: None, format="np"),
        "model.safetensors says format 'np', and transformers loads no other than 'pt'",
    ),
    "no safetensors": (
        lambda bundle: bundle.path("transformers_weights").write_bytes(b"x" * 100),
        "model.safetensors does not load",
    ),
    "no JSON": (lambda bundle: bundle.path(CONFIG).write_bytes(b"\xff"), "config.json is unusable: "),
    "no object": (lambda bundle: bundle.path(CONFIG).write_text("[]"), "expected a JSON object, found list"),
    "deep JSON": (lambda bundle: bundle.path(CONFIG).write_text("[" * 10**5), "config.json is unusable: "),
    "another model": (rewritten(CONFIG, model_type="wavlm"), "config.json is unusable: a model of type 'wavlm'"),
    "code to run": (
        rewritten(CONFIG, auto_map={"AutoModel": "x.py"}),
        "config.json is unusable: it has code of its own, which is not run",
    ),
    "another number of heads": (
        rewritten(CONFIG, num_attention_heads=2),
        "config.json has another num_attention_heads than this encoder: 2, expected 4",
    ),
    "another dropout": (rewritten(CONFIG, hidden_dropout=0.5), "another hidden_dropout than this encoder: 0.5"),
    "another norm order": (rewritten(CONFIG, do_stable_layer_norm=True), "another do_stable_layer_norm than"),
    "another class": (
        rewritten(CONFIG, architectures=["HubertForSequenceClassification"]),
        "has another architectures than this encoder",
    ),
    "half precision when loaded": (
        rewritten(CONFIG, torch_dtype="float16"),
        "has another torch_dtype than this encoder",
    ),
    "half precision by another name": (
        rewritten(CONFIG, dtype="float16"),
        "config.json has 'dtype', which no such file",
    ),
    "no mask": (
        reweighted(lambda tensors: tensors.pop("masked_spec_embed")),
        "model.safetensors lacks masked_spec_embed, which the source has",
    ),
    "a missing entry": (rewritten(CONFIG, layer_norm_eps=...), "config.json lacks layer_norm_eps"),
    "a number for true": (
        rewritten(CONFIG, ctc_zero_infinity=0),
        "another ctc_zero_infinity than this encoder: 0, exp",
    ),
    "a normalisation": (
        rewritten(PREPROCESSOR, do_normalize=True),
        "preprocessor_config.json has another do_normalize than this encoder: True, expected False",
    ),
    "another rate": (
        rewritten(PREPROCESSOR, sampling_rate=48_000),
        "sampling_rate than this encoder: 48000, expected 16000",
    ),
    "a padding mask": (rewritten(PREPROCESSOR, return_attention_mask=True), "another return_attention_mask than"),
    "no preprocessor": (
        lambda bundle: bundle.path(PREPROCESSOR).write_text("7"),
        "preprocessor_config.json is unusable",
    ),
}


def test_a_bundle_with_the_folder_passes(tiny_with_folder: Bundle) -> None:
    made = tiny_with_folder
    assert problems(made) == []
    assert [role for role in TRANSFORMERS if role in made.manifest.files] == list(TRANSFORMERS[:3])
    assert "masked_spec_embed" in load_file(made.path("transformers_weights"))


@pytest.mark.usefixtures("light")
def test_a_light_install_looks_at_all_of_the_folder(bundle: Bundle) -> None:
    assert problems(bundle) == []
    reweighted(one_bit(SOME))(bundle)
    assert f"{FOLDER}/model.safetensors has another {SOME} than the weights beside it" in problems(sealed(bundle))


def resealed(bundle: Bundle, files: dict[Role, FileRecord], **more: Any) -> Bundle:
    manifest = dataclasses.replace(bundle.manifest, files=files, **more)
    (bundle.folder / MANIFEST).write_text(manifest.to_json())
    return Bundle(bundle.folder, manifest)


@pytest.mark.parametrize(("damage", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_found_though_the_hashes_are_right(
    damage: Callable[[Bundle], object], message: str, bundle: Bundle
) -> None:
    damage(bundle)
    found = problems(sealed(bundle))
    assert any(message in problem for problem in found), found
    assert all(problem.startswith(f"{FOLDER}/") for problem in found)
    assert all(len(problem) < 1000 and problem.isprintable() for problem in found)


def test_a_hash_that_is_another_is_told_of_each_file(bundle: Bundle) -> None:
    for role in TRANSFORMERS[:3]:
        bundle.path(role).write_bytes(bundle.path(role).read_bytes() + b" ")
    found = problems(bundle)
    assert [problem.split(" ")[0] for problem in found] == [
        bundle.manifest.files[role].name for role in TRANSFORMERS[:3]
    ]
    assert all("is not the file that manifest.json records" in problem for problem in found)


@pytest.mark.parametrize("role", TRANSFORMERS[:3])
def test_a_file_that_is_gone_is_named(role: Role, bundle: Bundle) -> None:
    bundle.path(role).unlink()
    assert problems(bundle) == [f"{bundle.manifest.files[role].name} is missing"]


def test_a_file_in_the_place_of_the_folder_is_no_traceback(bundle: Bundle) -> None:
    (bundle.folder / FOLDER).rename(bundle.folder / ".kept")
    (bundle.folder / FOLDER).write_text("x")
    assert sorted(problems(bundle)) == sorted(f"{bundle.manifest.files[r].name} is missing" for r in TRANSFORMERS[:3])


@pytest.mark.parametrize("role", TRANSFORMERS[:3])
def test_a_part_of_the_folder_is_none(role: Role, bundle: Bundle) -> None:
    bundle.path(role).unlink()
    files = {each: record for each, record in bundle.manifest.files.items() if each != role}
    base = FILE_NAMES[role].rpartition("/")[2]
    assert f"manifest.json records a part of the folder for transformers, without {base}" in problems(
        resealed(bundle, files)
    )


def test_strange_files_in_the_folder_are_named(bundle: Bundle) -> None:
    (bundle.folder / FOLDER / "pytorch_model.bin").write_text("x")
    (bundle.folder / FOLDER / "nested").mkdir()
    (bundle.folder / FOLDER / ".cache").mkdir()
    (bundle.folder / "other.transformers").mkdir()
    assert problems(bundle) == [
        f"{name} is no file of this bundle: manifest.json does not record it"
        for name in ("other.transformers", f"{FOLDER}/nested", f"{FOLDER}/pytorch_model.bin")
    ]


MOVED = {
    "to another folder": f"{NAME}.other.transformers/preprocessor_config.json",
    "out of the folder": "preprocessor_config.json",
    "to another name": f"{FOLDER}/processor_config.json",
}


@pytest.mark.parametrize("name", MOVED.values(), ids=MOVED)
def test_files_that_do_not_lie_together_are_named(name: str, bundle: Bundle) -> None:
    (bundle.folder / name).parent.mkdir(exist_ok=True)
    record = bundle.manifest.files[PREPROCESSOR]
    bundle.path(PREPROCESSOR).rename(bundle.folder / name)
    files = {**bundle.manifest.files, PREPROCESSOR: dataclasses.replace(record, name=name)}
    expected = f"{name} lies elsewhere than the rest of what transformers loads: expected {record.name}"
    assert problems(resealed(bundle, files)) == [expected]


def test_all_of_it_may_lie_in_the_bundles_own_folder(bundle: Bundle) -> None:
    """As a repository of the Hub has it."""
    files = dict(bundle.manifest.files)
    for role in TRANSFORMERS[:3]:
        name = Path(files[role].name).name
        bundle.path(role).rename(bundle.folder / name)
        files[role] = dataclasses.replace(files[role], name=name)
    (bundle.folder / FOLDER).rmdir()
    assert problems(resealed(bundle, files)) == []


def test_weights_that_are_too_much_to_load_are_told(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Limits, "of_loading", lambda _: Limits(60, 1 << 20))
    monkeypatch.setattr("aves_artifacts.base.process._idle", [])
    told = f"{FOLDER}/model.safetensors is refused: it takes more than 0.0 GiB of memory"
    assert any(problem.startswith(told) for problem in problems(bundle))


def test_a_source_that_is_a_folder_has_names_of_transformers(bundle: Bundle) -> None:
    """The ledger tells them as that source has them."""
    ledger = tuple(
        dataclasses.replace(entry, source="masked_spec_embed") if entry.source == "mask_emb" else entry
        for entry in bundle.manifest.ledger
    )
    changed = resealed(bundle, dict(bundle.manifest.files), ledger=ledger)
    (problem,) = (problem for problem in problems(changed) if "masked" in problem)
    assert "has masked_spec_embed, which the ledger does not account for" in problem
    source = dataclasses.replace(changed.manifest.source, format="transformers", model_class="HubertModel")
    assert problems(resealed(changed, dict(changed.manifest.files), source=source)) == []


@pytest.fixture(scope="module", params=["hubert_ctc", "wav2vec_ctc"])
def fine_tuned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("ctc")
    torch.save(build(Variant(request.param), folder).state, folder / "x.pt")
    return make_bundle(Source(folder / "x.pt"), Target(folder / "bundle", "x", also=("transformers",)))


@pytest.mark.slow
def test_a_bundle_with_letters_passes(fine_tuned: Bundle) -> None:
    assert problems(fine_tuned) == []
    assert set(TRANSFORMERS) < set(fine_tuned.manifest.files)
    assert any(name.endswith(".masked_spec_embed") for name in load_file(fine_tuned.path("transformers_weights")))


LETTER_DAMAGE: dict[str, tuple[Callable[[Bundle], object], str]] = {
    "a letter too many": (rewritten("transformers_vocabulary", more=LETTERS), "vocab.json does not number letters as"),
    "two of one row": (
        rewritten("transformers_vocabulary", more=1),
        "vocab.json does not number letters as the 11 rows",
    ),
    "no number": (rewritten("transformers_vocabulary", a="1"), "vocab.json does not number letters as the 11 rows"),
    "another blank": (
        rewritten("transformers_tokenizer", pad_token="<s>"),  # noqa: S106
        "tokenizer_config.json has another pad_token than this encoder: '<s>', expected '<pad>'",
    ),
    "another tokenizer": (rewritten("transformers_tokenizer", tokenizer_class="Bert"), "another tokenizer_class than"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("damage", "message"), LETTER_DAMAGE.values(), ids=LETTER_DAMAGE)
def test_damaged_letters_are_found(
    damage: Callable[[Bundle], object], message: str, fine_tuned: Bundle, tmp_path: Path
) -> None:
    bundle = copied(fine_tuned, tmp_path / "bundle")
    damage(bundle)
    (problem,) = problems(sealed(bundle))
    assert message in problem


@pytest.mark.slow
def test_letters_without_their_other_file_are_told(fine_tuned: Bundle, tmp_path: Path) -> None:
    bundle = copied(fine_tuned, tmp_path / "bundle")
    bundle.path("transformers_tokenizer").unlink()
    files = {role: record for role, record in bundle.manifest.files.items() if role != "transformers_tokenizer"}
    (problem,) = problems(resealed(bundle, files))
    assert "without tokenizer_config.json" in problem


def test_letters_without_a_head_are_told(bundle: Bundle) -> None:
    files = dict(bundle.manifest.files)
    for role in TRANSFORMERS[3:]:
        name = FILE_NAMES[role].format(name=NAME)
        (bundle.folder / name).write_text("{}")
        files[role] = FileRecord(name, 2, "0" * 64)
    found = problems(sealed(Bundle(bundle.folder, dataclasses.replace(bundle.manifest, files=files))))
    assert "manifest.json records letters for transformers, of an encoder without a head" in found


def test_the_command_counts_the_files_of_the_folder(tiny_with_folder: Bundle) -> None:
    result = CliRunner().invoke(main, ["check", str(tiny_with_folder.folder)])
    assert result.exit_code == 0
    assert "9 files are as they were made" in result.stdout


def test_the_command_names_a_file_of_the_folder(bundle: Bundle) -> None:
    bundle.path(CONFIG).write_text("{}")
    result = CliRunner().invoke(main, ["check", str(bundle.folder)])
    assert result.exit_code == 1
    assert f"{bundle.folder}/{FOLDER}/config.json is not the file" in result.stderr
