"""Folders for the Hugging Face Hub, and their upload by its real client to a server that speaks its protocol."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from safetensors.numpy import load_file
from tests.support.bundles import NAME
from tests.support.releases import make_reported
from tests.support.servers.hub_server import TOKEN, HubServer, serving

from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.bundle.check import check_bundle
from aves_artifacts.bundle.manifest import REPORT
from aves_artifacts.cli import main
from aves_artifacts.release.hub import push

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle(reported_bundle: Bundle) -> Path:
    return reported_bundle.folder


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with serving() as server:
        yield server


def prepare(bundle: Path, out: Path, *more: str) -> list[str]:
    result = CliRunner().invoke(main, ["hub", str(bundle), "--out", str(out), "--stand-in", *more])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def pushing(bundle: Path, out: Path, hub: HubServer, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the client reads its settings when it is imported."""
    program = "import sys; from aves_artifacts.cli import main; main(sys.argv[1:])"
    arguments = ["hub", str(bundle), "--out", str(out), "--stand-in", "--force", "--push", "me/owls"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    own = {"HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(out.parent / "hf"), "NO_PROXY": "*"}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=kept | own | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_folder_is_prepared_without_any_network(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "hub"
    printed = prepare(bundle, out)
    assert printed == [str(out / name) for name in sorted(os.listdir(out), key=lambda n: printed.index(str(out / n)))]
    assert set(os.listdir(out)) == {*os.listdir(bundle), ".gitattributes"}
    assert check_bundle(out).passed
    assert yaml.safe_load((out / "README.md").read_text().split("---\n")[1])["pipeline_tag"] == "feature-extraction"


def test_git_keeps_the_weights_out_of_itself(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "hub"
    prepare(bundle, out)
    subprocess.run(["git", "init", "--quiet", str(out)], check=True)
    command = ["git", "-C", str(out), "check-attr", "filter", *os.listdir(out)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    large = {line.split(":")[0] for line in lines if line.endswith("filter: lfs")}
    assert large == {f"{NAME}.{part}" for part in ("torchaudio.pt", "safetensors", "heads.safetensors", "onnx")}


def test_what_is_there_is_replaced_with_force_alone(bundle: Path, tmp_path: Path) -> None:
    prepare(bundle, tmp_path / "hub")
    command = ["hub", str(bundle), "--out", str(tmp_path / "hub"), "--stand-in"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert "already there" in result.output
    prepare(bundle, tmp_path / "hub", "--force")


def test_what_may_not_be_published_is_not_prepared(bundle: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["hub", str(bundle), "--out", str(tmp_path / "hub")])
    assert result.exit_code == 2
    assert "give --stand-in" in result.output
    damaged = make_reported(tmp_path / "damaged").folder
    (damaged / REPORT).write_text("{}")
    result = CliRunner().invoke(main, ["hub", str(damaged), "--out", str(tmp_path / "hub"), "--stand-in"])
    assert result.exit_code == 1
    assert "report.json is not the file" in result.output
    assert not (tmp_path / "hub").exists()


def test_the_files_arrive_in_one_commit(bundle: Path, tmp_path: Path, hub: HubServer) -> None:
    out = tmp_path / "hub"
    ended = pushing(bundle, out, hub, HF_TOKEN=TOKEN)
    assert ended.returncode == 0, ended.stderr
    assert f"{hub.address}/me/owls/tree/{'c' * 40}: 9 files are there as they are here" in ended.stdout
    assert hub.repositories == ["me/owls"]
    assert len(hub.commits) == 1
    assert hub.files == {name: (out / name).read_bytes() for name in os.listdir(out)}
    assert hub.large == {f"{NAME}.{part}" for part in ("torchaudio.pt", "safetensors", "heads.safetensors", "onnx")}
    assert len(hub.uploads) == 4
    ended = pushing(bundle, out, hub, HF_TOKEN=TOKEN)  # again: the large files are known
    assert ended.returncode == 0, ended.stderr
    assert len(hub.uploads) == 4


def test_without_a_token_nothing_is_done(bundle: Path, tmp_path: Path, hub: HubServer) -> None:
    ended = pushing(bundle, tmp_path / "hub", hub)
    assert ended.returncode == 2
    assert "there is no token to upload with; set $HF_TOKEN or run: hf auth login; nothing was done" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert hub.repositories == []
    assert not (tmp_path / "hub").exists()


def test_a_token_that_the_hub_does_not_know_is_told(bundle: Path, tmp_path: Path, hub: HubServer) -> None:
    ended = pushing(bundle, tmp_path / "hub", hub, HF_TOKEN="hf_of_somebody_else")  # noqa: S106
    assert ended.returncode == 2
    assert "Error: me/owls: the Hub did not take it: " in ended.stderr
    assert "Traceback" not in ended.stderr
    assert hub.files == {}


def test_without_the_package_it_is_named(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    command = ["hub", str(bundle), "--out", str(tmp_path / "hub"), "--push", "me/owls"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert "pip install 'aves-ports[hub]'" in result.output


def test_what_the_hub_holds_otherwise_does_not_hold(bundle: Path, tmp_path: Path, hub: HubServer) -> None:
    from huggingface_hub import HfApi

    files = [Path(line) for line in prepare(bundle, tmp_path / "hub")]
    client = HfApi(endpoint=hub.address, token=TOKEN)
    honest = hub.entry

    def lying(name: str) -> dict[str, object]:
        return honest(name) | ({"oid": "0" * 40} if name == "README.md" and hub.commits else {})

    hub.entry = lying  # type: ignore[method-assign]
    small = [path for path in files if path.name.endswith((".md", ".json"))]
    with pytest.raises(DoesNotHoldError, match=r"me/owls: README.md is not what was uploaded"):
        push(small, "me/owls", client)


def test_a_name_that_is_none_is_told(bundle: Path, tmp_path: Path, hub: HubServer) -> None:
    from huggingface_hub import HfApi

    files = [Path(line) for line in prepare(bundle, tmp_path / "hub")]
    with pytest.raises(InputError, match=r"a/b/c: the Hub did not take it"):
        push(files, "a/b/c", HfApi(endpoint=hub.address, token=TOKEN))


# --- with the folder that transformers loads
LOADED_BY_NAME = """
import sys
import numpy as np
import torch
from aves_convert.weights.model import import_torchaudio
import_torchaudio()
from transformers import AutoFeatureExtractor, AutoModel
name, out = sys.argv[1:]
extractor, model = AutoFeatureExtractor.from_pretrained(name), AutoModel.from_pretrained(name).eval()
waveform = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
inputs = extractor(waveform, sampling_rate=16_000, return_tensors="pt").input_values
with torch.inference_mode():
    embeddings = model(inputs).last_hidden_state
np.savez(out, embeddings=embeddings.numpy(), **{f"w:{n}": tensor.numpy() for n, tensor in model.state_dict().items()})
"""
SNAPSHOT = (
    "import sys; from huggingface_hub import snapshot_download; snapshot_download(sys.argv[1], local_dir=sys.argv[2])"
)
AT_ROOT = ("config.json", "model.safetensors", "preprocessor_config.json")


@pytest.fixture(scope="module")
def for_transformers(reported_with_folder: Bundle) -> Path:
    return reported_with_folder.folder


def running(program: str, *arguments: str, **environment: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    command = [sys.executable, "-c", program, *arguments]
    ended = subprocess.run(command, env=kept | environment, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr


def test_what_transformers_loads_lies_at_the_root(for_transformers: Path, tmp_path: Path) -> None:
    out = tmp_path / "hub"
    prepare(for_transformers, out)
    inside = f"{NAME}.transformers"
    assert set(os.listdir(out)) == {*os.listdir(for_transformers), ".gitattributes", *AT_ROOT} - {inside}
    for name in AT_ROOT:
        assert (out / name).read_bytes() == (for_transformers / inside / name).read_bytes()
    found = check_bundle(out)
    assert (found.problems, found.verified) == ((), True)
    card = (out / "README.md").read_text()
    assert inside not in card
    assert 'AutoModel.from_pretrained(".")' in card
    assert "| `model.safetensors` |" in card
    assert "| transformers | pass |" in card
    assert yaml.safe_load(card.split("---\n")[1])["library_name"] == "transformers"
    again = tmp_path / "again"  # of what lies at the root already
    prepare(out, again)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in out.iterdir()
    }


def test_a_bundle_without_the_folder_keeps_its_card(bundle: Path, tmp_path: Path) -> None:
    prepare(bundle, tmp_path / "hub")
    for name in os.listdir(bundle):
        assert (tmp_path / "hub" / name).read_bytes() == (bundle / name).read_bytes()


def test_nothing_of_an_earlier_folder_stays(bundle: Path, for_transformers: Path, tmp_path: Path) -> None:
    out = tmp_path / "hub"
    prepare(for_transformers, out)
    prepare(bundle, out, "--force")
    assert not set(AT_ROOT) & set(os.listdir(out))
    assert check_bundle(out).passed


def test_git_keeps_the_weights_for_transformers_out_of_itself(for_transformers: Path, tmp_path: Path) -> None:
    out = tmp_path / "hub"
    prepare(for_transformers, out)
    subprocess.run(["git", "init", "--quiet", str(out)], check=True)
    command = ["git", "-C", str(out), "check-attr", "filter", *AT_ROOT]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.endswith("filter: lfs") for line in lines] == [False, True, False]


def test_transformers_loads_it_by_the_name_of_the_repository(
    for_transformers: Path, tmp_path: Path, hub: HubServer
) -> None:
    """From the server that the real client has uploaded it to, in a process of its own, to the last bit."""
    ended = pushing(for_transformers, tmp_path / "hub", hub, HF_TOKEN=TOKEN)
    assert ended.returncode == 0, ended.stderr
    assert set(AT_ROOT) < set(hub.files)
    assert "model.safetensors" in hub.large
    home = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN, "NO_PROXY": "*"}
    running(LOADED_BY_NAME, "me/owls", str(tmp_path / "there.npz"), HF_ENDPOINT=hub.address, **home)
    assert set(AT_ROOT) <= set(hub.downloads)
    folder = for_transformers / f"{NAME}.transformers"
    running(LOADED_BY_NAME, str(folder), str(tmp_path / "here.npz"), HF_HUB_OFFLINE="1", **home)
    with np.load(tmp_path / "there.npz") as there, np.load(tmp_path / "here.npz") as here:
        assert there["embeddings"].shape == (1, 12, 24)
        assert set(there) == set(here)
        for name in there:
            np.testing.assert_array_equal(there[name].view(np.uint32), here[name].view(np.uint32))
        written = load_file(folder / "model.safetensors")
        assert {f"w:{name}" for name in written} == set(there) - {"embeddings"}
        for name in set(there) - {"embeddings"}:
            np.testing.assert_array_equal(there[name].view(np.uint32), written[name[2:]].view(np.uint32))


def test_what_is_downloaded_is_a_bundle_still(for_transformers: Path, tmp_path: Path, hub: HubServer) -> None:
    assert pushing(for_transformers, tmp_path / "hub", hub, HF_TOKEN=TOKEN).returncode == 0
    home = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN, "NO_PROXY": "*"}
    running(SNAPSHOT, "me/owls", str(tmp_path / "there"), HF_ENDPOINT=hub.address, **home)
    found = check_bundle(tmp_path / "there")
    assert (found.problems, found.verified) == ((), True)
