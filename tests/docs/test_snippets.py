"""What README and documentation tell users to run, run exactly as it stands there."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from tests.support.recordings import calls, write_recordings

import classify
import cluster
import embed
from aves_artifacts.bundle.bundle import Bundle, read_bundle
from aves_artifacts.cli import main as aves_artifacts
from aves_convert.cli import main as aves_convert
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.convert import fairseq_to_onnx
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import write_stand_in
from aves_convert.graph.options import OnnxOptions
from aves_convert.weights.model import import_torchaudio
from aves_verify.cli import main as aves_verify

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "aves-artifacts": aves_artifacts,
    "aves-convert": aves_convert,
    "aves-verify": aves_verify,
    "python examples/classify.py": classify.main,
    "python examples/cluster.py": cluster.main,
    "python examples/embed.py": embed.main,
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)


def execute(snippet: str) -> dict[str, Any]:
    import_torchaudio()  # a user's torch and torchaudio belong together; the newest ones of a test run may not
    names: dict[str, Any] = {}
    exec(snippet, names)  # noqa: S102 - our own pages
    return names


def run(line: str) -> None:
    """Run a command of the pages in this process; fail unless its status is 0."""
    command = re.sub(r"^uv run (--extra \w+ |--group \w+ )*", "", line)
    (name,) = [name for name in COMMANDS if command.startswith(f"{name} ")]
    done = CliRunner().invoke(COMMANDS[name], shlex.split(command.removeprefix(name)))
    assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"


@pytest.mark.parametrize("snippet", blocks("README.md", "python"), ids=["torchaudio", "onnxruntime"])
def test_a_snippet_of_the_readme_gives_embeddings(
    snippet: str, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_bundle.folder)
    assert tuple(execute(snippet)["embeddings"].shape) == (1, 49, 24)


# The main job and the tests are run at full size elsewhere; what is published is not fetched by a test.
NOT_HERE = ("pip install uv && ", "uv run aves-artifacts fetch ")


def test_the_commands_of_the_readme_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stand_in("bio", tmp_path / "theirs.pt", geometry="tiny")
    fairseq_to_onnx(Source(tmp_path / "theirs.pt"), tmp_path / "yours.onnx", OnnxOptions(exporter="torch"))
    write_recordings(tmp_path / "recordings", ["trill"], 2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVES_HOME", str(tmp_path / "store"))
    lines = "".join(blocks("README.md", "sh")).splitlines()
    here = [line for line in lines if not line.startswith(NOT_HERE)]
    assert len(lines) - len(here) == 3
    for line in here:
        run(f"{line} --geometry tiny" if " stand-in " in line else line)
    assert read_bundle(tmp_path / "ports").manifest.report is not None


def test_the_way_of_a_checkpoint_can_be_gone_as_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stand_in("bio", tmp_path / "aves-base-bio.pt", geometry="tiny")
    clip = calls()["whistle"][0]
    soundfile.write(tmp_path / "call.wav", clip.waveform, 16_000)
    monkeypatch.chdir(tmp_path)
    lines = "".join(blocks("docs/port-your-checkpoint.md", "sh")).splitlines()
    assert len(lines) == 4
    for line in lines:
        run(line)
    vectors = [execute(snippet)["vector"] for snippet in blocks("docs/port-your-checkpoint.md", "python")]
    assert len(vectors) == 2
    assert vectors[0].shape == (24,)
    assert vectors[0] == pytest.approx(vectors[1].numpy(), abs=1e-4)


def test_the_way_to_transformers_and_back_is_as_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stand_in("bio", tmp_path / "aves-base-bio.pt", geometry="tiny")
    monkeypatch.chdir(tmp_path)
    lines = "".join(blocks("docs/transformers.md", "sh")).splitlines()
    assert len(lines) == 7
    for line in lines:
        run(line)
    (snippet,) = blocks("docs/transformers.md", "python")
    assert tuple(execute(snippet)["embeddings"].shape) == (1, 49, 24)
    manifest = read_bundle(tmp_path / "bundle-of-folder").manifest
    assert manifest.source.format == "transformers"
    assert manifest.report is not None
    assert manifest.report.passed


def test_the_examples_run_as_their_page_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stand_in("bio", tmp_path / "aves-base-bio.pt", geometry="tiny")
    write_recordings(tmp_path / "recordings", ["trill", "hiss", "clicks"], 6)
    monkeypatch.chdir(tmp_path)
    for block in blocks("docs/examples.md", "sh"):
        for line in block.splitlines():
            run(line)
    for name in re.findall(r"`(\w+\.(?:png|csv|safetensors|html))`", (ROOT / "docs" / "examples.md").read_text()):
        assert list(tmp_path.glob(f"cl*/{name}")), name


def test_a_corpus_is_embedded_and_read_as_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stand_in("bio", tmp_path / "aves-base-bio.pt", geometry="tiny")
    make_bundle(Source(tmp_path / "aves-base-bio.pt"), Target(tmp_path / "ports", "aves-base-bio"))
    write_recordings(tmp_path / "recordings", ["trill", "hiss"], 2)
    monkeypatch.chdir(tmp_path)
    section = (ROOT / "docs" / "corpora.md").read_text().partition("## Embedding a corpus")[2]
    commands, to_table, to_arrays = re.findall(r"```(?:sh\nuv|python)\n?(.*?)```", section, flags=re.DOTALL)
    for line in f"uv{commands}".splitlines():
        run(line)
    names = execute(to_table)
    vectors = np.stack(names["table"].to_pylist()[0]["embedding"])
    assert (len(names["table"]), vectors.shape) == (4, (24,))
    run(f"{line} --format zarr")
    (names["listing"],) = set(Path("embeddings").glob("*.json")) - {names["listing"]}
    exec(to_arrays, names)  # noqa: S102 - our own page
    assert sorted(names["recordings"]) == sorted(names["table"].column("recording").to_pylist())
    assert vectors.tolist() in names["embeddings"].tolist()
