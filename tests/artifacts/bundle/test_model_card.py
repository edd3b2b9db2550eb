"""The model card: its front matter, its table, and its snippets as a user would run them."""

import dataclasses
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from markdown_it import MarkdownIt
from safetensors.torch import load_file
from tests.support.bundles import as_document, comparison, report_on
from tests.support.documents import HASH, SOURCE, a_manifest
from tests.support.fairseq_models import Variant, build

from aves_artifacts.bundle.manifest import FILE_NAMES, TRANSFORMERS, GraphRecord
from aves_artifacts.bundle.model_card import model_card
from aves_artifacts.bundle.report_document import parse_report
from aves_artifacts.files.file_record import FileRecord
from aves_convert.checkpoint.architecture import architecture
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import GEOMETRIES, checkpoint_contents
from aves_convert.graph.options import OnnxOptions
from aves_convert.torch_files.writer import write_torch_file
from aves_convert.weights.model import import_torchaudio


def snippets(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def card(report: Any = None, **entries: Any) -> str:
    read = None if report is None else parse_report(as_document(report), "the report")
    return model_card(a_manifest(**entries), read)


def front_matter(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_front_matter_is_what_the_hub_reads() -> None:
    assert front_matter(card()) == {
        "library_name": "torchaudio",
        "pipeline_tag": "feature-extraction",
        "tags": ["audio", "hubert", "torchaudio", "onnx", "safetensors"],
    }
    assert front_matter(card(licence="CC-BY-NC-SA-4.0"))["license"] == "cc-by-nc-sa-4.0"
    other = front_matter(card(licence='Ask: "us" # first'))
    assert (other["license"], other["license_name"]) == ("other", 'Ask: "us" # first')


def test_terms_are_told_or_told_to_be_missing() -> None:
    assert "licence of the weights was not recorded" in card(citation="")
    assert "cited was not recorded" in card(citation="")
    text = card(licence="MIT", citation="A. Uthor. *Title*.\nJournal.")
    assert "authors' licence: MIT." in text
    assert "> A. Uthor. \\*Title\\*.\n> Journal." in text


def test_the_card_says_what_was_passed_over_and_where_settings_came_from() -> None:
    assert "settings" not in card()
    assert "not fairseq's" not in card()
    source = dataclasses.replace(SOURCE, geometry="ba*se", unknown_config={"model.new": "`True`", "task.x": "1"})
    text = card(source=source)
    assert 'are of the published size "ba\\*se".' in text
    assert "they were passed over:\n`` model.new=`True` ``, `task.x=1`.\n" in text


def test_the_card_says_which_runtimes_the_graph_is_for() -> None:
    def told(**entries: Any) -> str:
        return card(graph=dataclasses.replace(GraphRecord(17, "float32", "standard", "graph"), **entries))

    assert "was not recorded" in card(graph=None).split("## Runtimes")[1].split("##")[0]
    assert "in float32 alone, in plain operators of opset 17" in told()
    assert "OpenVINO and TensorRT compute them in float32" in told(precision="mixed")
    assert "an operator of opset 23" in told(opset=23)
    assert "runs in ONNX Runtime alone" in told(attention="fused")
    both = told(attention="fused", precision="mixed")
    assert "runs in ONNX Runtime alone" in both
    assert "some sums in float64" in both
    assert "an ordinary export" in told(exporter="torch")
    assert "takes 1 waveform of 16000 samples" in told(fixed_shape=(1, 16_000)).replace("\n", " ")
    assert "takes 3 waveforms of" in told(fixed_shape=(3, 16_000))


def test_the_card_says_what_runtimes_want_beside_the_file() -> None:
    def told(**entries: Any) -> str:
        text = card(graph=dataclasses.replace(GraphRecord(17, "float32", "standard", "graph"), **entries))
        return " ".join(text.split("## Runtimes")[1].split("## ")[0].split())

    assert "inputs of one frame (400 to 719 samples) a compiled model of their own" in told()
    assert "**IREE** compiles a graph of one length alone, which `--fixed-length N` writes" in told(exporter="torch")
    for entries in ({}, {"attention": "fused"}, {"fixed_shape": (1, 16_000)}):
        assert "`docs/runtimes.md` of aves-ports" in told(**entries)
        assert ("OpenVINO" in told(**entries)) == (not entries)


def test_a_package_that_leaves_out_the_last_norm_is_warned_of() -> None:
    assert "esp-aves" not in card()
    config = dataclasses.replace(a_manifest().config, encoder_layer_norm_first=True)
    assert "Not for esp-aves" in card(config=config)


def test_a_stand_in_is_called_one() -> None:
    assert "stand-in" not in card()
    text = card(source=dataclasses.replace(SOURCE, stand_in=True))
    assert "**These are seeded stand-in weights." in text
    assert "cited" not in text


def test_the_table_has_the_worst_of_each_port() -> None:
    assert "have not been verified" in card()
    report = report_on(
        a_manifest(),
        comparisons=[
            comparison("torchaudio", max_abs=2e-6),
            comparison("onnx", max_abs=1e-6, cosine_min=0.5, flagged=3),
            comparison("onnx", "near-zero drift", clip="hiss", max_abs=3e-6, error_ratio=2.5, flagged=4),
        ],
    )
    text = card(report)
    assert "| torchaudio | pass | 2.0e-06 | 1.00000 | 1.00 | 0 | 1e-05 +" in text
    assert "| onnx | near-zero drift | 3.0e-06 | 0.50000 | 2.50 | 7 | 1e-05 +" in text
    assert "on 2 inputs:\n**passed**" in text


def test_what_could_not_be_computed_is_a_dash() -> None:
    failed = comparison("onnx", "fail", max_abs=None, cosine_min=None, error_ratio=None, flagged=None)
    assert "| onnx | fail | - | - | - | 0 |" in card(report_on(a_manifest(), passed=False, comparisons=[failed]))


def test_names_cannot_steer_the_page() -> None:
    name = '<img src=x>`|*"](http://example.org)'
    files = {role: dataclasses.replace(record, name=f"{name}.{role}") for role, record in a_manifest().files.items()}
    text = card(name=name, files=files, source=dataclasses.replace(SOURCE, name=name), citation=f"# {name}")
    tokens = MarkdownIt().enable("table").parse(text.split("---\n", 2)[2])
    inline = [child for token in tokens for child in token.children or []]
    assert not [child for child in inline if child.type in ("html_inline", "link_open", "em_open", "image")]
    assert not [token for token in tokens if token.type == "html_block"]
    assert sum(token.type == "tr_open" for token in tokens) == 5
    for snippet in snippets(text):
        compile(snippet, "README.md", "exec")


def test_the_snippets_are_those_of_the_readme() -> None:
    """Of AVES, which has the names that the README uses."""
    names = {role: record.name.replace("x.", "aves-base-bio.") for role, record in a_manifest().files.items()}
    files = {role: dataclasses.replace(a_manifest().files[role], name=name) for role, name in names.items()}
    readme = snippets((Path(__file__).parents[3] / "README.md").read_text())
    assert snippets(card(files=files)) == readme[:2]


VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as AVES": ({}, {}),
    "normalised": ({}, {"normalize": True}),
    "pre-norm": ({"layer_norm_first": True, "extractor_mode": "layer_norm"}, {"normalize": True}),
}


@pytest.mark.parametrize(("model", "task"), VARIANTS.values(), ids=VARIANTS)
def test_the_snippets_run_and_agree(
    model: dict[str, Any], task: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_torch_file(checkpoint_contents(GEOMETRIES["tiny"] | model, seed="x", task=task), tmp_path / "x.pt")
    bundle = make_bundle(Source(tmp_path / "x.pt"), Target(tmp_path / "bundle", "x"))
    monkeypatch.chdir(bundle.folder)
    import_torchaudio()
    found = []
    names: dict[str, Any] = {"NOISE": np.random.default_rng(0).standard_normal((1, 16_000)).astype(np.float32) + 3}
    for snippet in snippets(Path("README.md").read_text()):
        noisy = snippet.replace("torch.zeros(1, 16_000)", "torch.from_numpy(NOISE)")
        noisy = noisy.replace("np.zeros((1, 16_000), dtype=np.float32)", "NOISE")
        exec(noisy, names)  # noqa: S102 - our own card
        if "NOISE" in noisy:
            found.append(np.asarray(names["embeddings"]))
        else:  # it goes on from the one before
            heads = load_file("x.heads.safetensors")
            weight, bias = (heads[f"final_proj.{part}"].numpy() for part in ("weight", "bias"))
            np.testing.assert_allclose(names["projected"], names["layers"][-1].numpy() @ weight.T + bias, atol=1e-4)
    assert "projected" in names
    assert [array.shape for array in found] == [(1, 49, 24)] * 2
    np.testing.assert_allclose(*found, atol=3e-4)
    assert "49 frames of 24 numbers" in Path("README.md").read_text()


# --- the folder that transformers loads
FOLDER = {role: FileRecord(FILE_NAMES[role].format(name="x"), 1, HASH) for role in TRANSFORMERS[:3]}
LETTERS = {role: FileRecord(FILE_NAMES[role].format(name="x"), 1, HASH) for role in TRANSFORMERS[3:]}


def with_files(more: Any, **entries: Any) -> str:
    return card(files={**a_manifest().files, **more}, **entries)


def test_the_hub_is_told_of_transformers_where_there_is_its_folder() -> None:
    assert "transformers" not in card()
    found = front_matter(with_files(FOLDER))
    assert (found["library_name"], found["pipeline_tag"]) == ("transformers", "feature-extraction")
    assert found["tags"] == ["audio", "hubert", "torchaudio", "onnx", "safetensors", "transformers"]
    text = with_files(FOLDER)
    assert "ported from fairseq to TorchAudio, ONNX and transformers." in text
    assert "| `x.transformers/model.safetensors` | 1 | the same tensors under the names of transformers |" in text
    assert len(snippets(text)) == 3
    assert 'AutoModel.from_pretrained("x.transformers")' in snippets(text)[2]


def test_a_folder_at_the_root_is_loaded_from_there() -> None:
    """As a repository of the Hub has it."""
    files = {role: dataclasses.replace(record, name=Path(record.name).name) for role, record in FOLDER.items()}
    text = with_files(files)
    assert 'AutoModel.from_pretrained(".")' in snippets(text)[2]
    assert "loads a repository with these files by its name, such as `owner/name`:" in text
    assert "| `config.json` | 1 |" in text
    assert "by its name" not in with_files(FOLDER)


def test_the_card_says_what_transformers_does_otherwise() -> None:
    def told(**entries: Any) -> str:
        config = dataclasses.replace(a_manifest().config, **entries)
        return " ".join(with_files(FOLDER, config=config).split("## Runtimes")[0].split())

    assert "`hidden_states[i + 1]` is `layer.i`. - Give it no attention mask" in told()
    assert "transformers 4 has the final norm in it, 5.24 has not. -" in told(encoder_layer_norm_first=True)
    assert "no attention mask" not in told(extractor_mode="layer_norm")
    assert "1e-7" not in told()
    text = with_files(FOLDER, encoder=dataclasses.replace(a_manifest().encoder, normalize=True))
    assert "adds 1e-7 to the variance where fairseq" in text
    assert "extractor.do_normalize = False" in snippets(text)[2]


def test_a_head_has_a_class_of_its_own() -> None:
    config = dataclasses.replace(a_manifest().config, aux_num_out=32)
    snippet = snippets(with_files(FOLDER, config=config))[2]
    assert 'AutoModelForCTC.from_pretrained("x.transformers")' in snippet
    assert "AutoTokenizer" not in snippet
    snippet = snippets(with_files(FOLDER | LETTERS, config=config))[2]
    assert 'AutoTokenizer.from_pretrained("x.transformers").batch_decode' in snippet


def test_a_source_that_is_a_folder_is_called_one() -> None:
    source = dataclasses.replace(SOURCE, name="owls", format="transformers", model_class="HubertModel")
    text = card(report_on(a_manifest(source=source)), source=source)
    assert "ported from a folder that transformers loads to TorchAudio and ONNX." in text
    assert "from the folder `owls`, which transformers loads (SHA-256 of what\n`sha256sum` prints" in text
    assert "compared these files with the original, as transformers computes it, on 1 inputs" in text
    assert "fairseq" not in text


def test_names_of_a_folder_cannot_steer_the_page() -> None:
    name = '<img src=x>`|*"'
    files = {role: dataclasses.replace(record, name=f"{name}.transformers/x.json") for role, record in FOLDER.items()}
    text = with_files(files, name=name)
    tokens = MarkdownIt().enable("table").parse(text.split("---\n", 2)[2])
    inline = [child for token in tokens for child in token.children or []]
    assert not [child for child in inline if child.type in ("html_inline", "link_open", "em_open", "image")]
    compile(snippets(text)[2], "README.md", "exec")


@pytest.mark.slow
@pytest.mark.parametrize(("model", "task"), VARIANTS.values(), ids=VARIANTS)
def test_the_snippet_for_transformers_runs_and_agrees(
    model: dict[str, Any], task: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_torch_file(checkpoint_contents(GEOMETRIES["tiny"] | model, seed="x", task=task), tmp_path / "x.pt")
    bundle = make_bundle(Source(tmp_path / "x.pt"), Target(tmp_path / "bundle", "x", also=("transformers",)))
    monkeypatch.chdir(bundle.folder)
    import_torchaudio()
    torchaudio, _, _, transformers = snippets(Path("README.md").read_text())
    for level in (1, 1e-3):  # and so quiet that the two formulas for the variance are two
        noise = level * np.random.default_rng(0).standard_normal((2, 16_000)).astype(np.float32)
        names: dict[str, Any] = {"NOISE": noise}
        found = []
        for snippet in (torchaudio, transformers):
            exec(snippet.replace("torch.zeros(1, 16_000)", "torch.from_numpy(NOISE)"), names)  # noqa: S102 - our own card
            found.append(names["embeddings"].numpy())
            last, names["model"] = names["model"], None
            if snippet is torchaudio:
                layers = [layer.detach() for layer in last.extract_features(names["waveform"])[0]]
        assert found[0].shape == (2, 49, 24)
        np.testing.assert_allclose(*found, atol=3e-5)
        hidden = last(names["inputs"], output_hidden_states=True).hidden_states[1:]
        if model.get("layer_norm_first") and int(version("transformers").split(".")[0]) < 5:
            layers[-1] = names["embeddings"]  # with the final norm
        for layer, state in zip(layers, hidden, strict=True):
            np.testing.assert_allclose(state.detach().numpy(), layer.numpy(), atol=3e-5)
        if task.get("normalize"):
            names["extractor"].do_normalize = True
            inputs = names["extractor"](list(noise), sampling_rate=16_000, return_tensors="np").input_values
            assert (abs(inputs - names["inputs"].numpy()).max() > 0.1) == (level < 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hubert_ctc", "wav2vec_ctc"])
def test_the_snippet_for_letters_runs_and_agrees(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    torch.save(build(Variant(kind), tmp_path).state, tmp_path / "x.pt")
    bundle = make_bundle(Source(tmp_path / "x.pt"), Target(tmp_path / "bundle", "x", also=("transformers",)))
    monkeypatch.chdir(bundle.folder)
    import_torchaudio()
    torchaudio, *_, transformers = snippets(Path("README.md").read_text())
    names: dict[str, Any] = {"NOISE": np.random.default_rng(0).standard_normal((1, 16_000)).astype(np.float32)}
    found = []
    for snippet in (torchaudio, transformers):
        exec(snippet.replace("torch.zeros(1, 16_000)", "torch.from_numpy(NOISE)"), names)  # noqa: S102 - our own card
        found.append(names["logits"].detach().numpy())
    np.testing.assert_allclose(*found, atol=3e-5)
    (text,) = names["text"]
    assert isinstance(text, str)
    assert "<pad>" not in text


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("kind", ["hubert", "hubert_ctc"])
def test_the_snippet_of_units_runs_and_agrees_with_the_graph(
    kind: str, layer: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime
    import torch

    path = tmp_path / "x.pt"
    torch.save(build(Variant(kind), tmp_path).state, path)
    dimension = architecture(read_checkpoint(path)).config.encoder_embed_dim
    np.save(tmp_path / "c.npy", np.random.default_rng(0).standard_normal((5, dimension)).astype(np.float32))
    options = OnnxOptions(outputs=("embeddings", f"layer.{layer}.units"))
    source = Source(path, centroids={None: tmp_path / "c.npy"})
    bundle = make_bundle(source, Target(tmp_path / "bundle", "x"), options)
    monkeypatch.chdir(bundle.folder)
    import_torchaudio()
    wave = np.random.default_rng(0).standard_normal((1, 16_000)).astype(np.float32)
    names: dict[str, Any] = {"NOISE": wave}
    for snippet in snippets(Path("README.md").read_text()):
        noisy = snippet.replace("torch.zeros(1, 16_000)", "torch.from_numpy(NOISE)")
        exec(noisy, names)  # noqa: S102 - our own card
    (units,) = onnxruntime.InferenceSession("x.onnx").run([f"layer.{layer}.units"], {"waveform": wave})
    np.testing.assert_array_equal(names["units"].numpy(), units)


def test_the_tensors_load_with_safetensors_alone(tmp_path: Path) -> None:
    import torch

    write_torch_file(checkpoint_contents(GEOMETRIES["tiny"], seed="x"), tmp_path / "x.pt")
    bundle = make_bundle(Source(tmp_path / "x.pt"), Target(tmp_path / "bundle", "x"))
    weights = torch.load(bundle.path("torchaudio"), weights_only=True)
    same = load_file(bundle.path("safetensors"))
    assert set(same) == set(weights)
    assert all(torch.equal(same[name], tensor) for name, tensor in weights.items())
