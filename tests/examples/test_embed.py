"""The example as users run it: alone, in shares, by workers, at a scheduler, into a folder and a store."""

import dataclasses
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset
import pyarrow.parquet
import pytest
import soundfile
import zarr
from tests.support.bundles import NAME, as_document, copied, make_tiny, report_on
from tests.support.commands import invoke
from tests.support.corpora import noise, record
from tests.support.heads import centroids
from tests.support.servers.dask_cluster import running
from tests.support.servers.s3_server import BUCKET, S3Server

from aves_artifacts.bundle.attach import attach_report
from aves_artifacts.bundle.bundle import Bundle
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.graph.options import OnnxOptions
from aves_verify import Plan, of_bundle, read_clips
from embed import main
from embedding_parts import KIND

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
WINDOW = 1.0
FRAMES = 49  # of a second

run = functools.partial(invoke, main)


def verified(bundle: Bundle, folder: Path) -> Bundle:
    made = copied(bundle, folder)
    return attach_report(made.folder, as_document(report_on(made.manifest)))


@pytest.fixture(scope="module")
def ports(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that verified, whose graph gives every layer."""
    return verified(tiny_bundle, tmp_path_factory.mktemp("ports") / "bundle").folder


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of several windows, one of which leaves a rest, and two that cannot be embedded."""
    folder = tmp_path_factory.mktemp("audio")
    record(folder / "long.wav", 3.01)
    record(folder / "stereo.wav", 1.5, seed=1)
    record(folder / "deep" / "short.wav", 0.7, seed=2)
    (folder / "torn.wav").write_bytes(b"RIFF")
    soundfile.write(folder / "blip.wav", noise(0.01, 16_000), 16_000)
    return folder


@pytest.fixture
def embed(ports: Path, audio: Path, tmp_path: Path) -> Callable[..., Path]:
    """Embed the recordings, and return where the parts lie."""

    def embedded(*arguments: object, out: str = "out", status: int = 0) -> Path:
        given = ("--bundle", ports, "--audio", audio, "--out", tmp_path / out, "--window", WINDOW, "--shard-windows", 2)
        done = run(*given, "--progress", "none", *arguments)
        assert done.exit_code == status, done.output
        return tmp_path / out

    return embedded


def parts(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def rows(out: Path) -> dict[tuple[str, float], Mapping[str, Any]]:
    """Recording and start -> the row of a table."""
    table = pyarrow.dataset.dataset(sorted(map(str, out.glob("*.parquet")))).to_table()
    found = {(row["recording"], row["start"]): row for row in table.to_pylist()}
    assert len(found) == len(table)
    return found


def expected(ports: Path, audio: Path, backend: str, name: str = "final") -> np.ndarray:
    """The frames of the one recording that is a single window."""
    clips, _ = read_clips([audio / "deep" / "short.wav"])
    plan = Plan((clips[0].read(),), backends=(backend,), layers="all")
    (outputs,) = plan.embed(of_bundle(ports))
    found: np.ndarray = outputs[backend][name][0]
    return found


def test_every_window_is_a_row_and_what_cannot_be_read_says_why(
    embed: Callable[..., Path], ports: Path, audio: Path
) -> None:
    out = embed()
    found = rows(out)
    whole = [key for key, row in found.items() if row["reason"] is None]
    long, stereo = (("long.wav", start) for start in (0.0, 1.0, 2.0)), (("stereo.wav", start) for start in (0.0, 1.0))
    assert sorted(whole) == [("deep/short.wav", 0.0), *long, *stereo]
    assert found["stereo.wav", 1.0]["seconds"] == 0.5
    assert "160 samples" in found["long.wav", 3.0]["reason"]
    assert "160 samples" in found["blip.wav", 0.0]["reason"]
    assert found["torn.wav", 0.0]["reason"].startswith("torn.wav: ")
    assert {row["embedding"] for row in found.values() if row["reason"]} == {None}
    frames = expected(ports, audio, "onnx")
    mean = frames.mean(axis=0, dtype=np.float64).astype(np.float32)
    assert (np.float32(found["deep/short.wav", 0.0]["embedding"]) == mean).all()


def test_parts_say_what_they_are(embed: Callable[..., Path], ports: Path) -> None:
    out = embed("--backend", "torchaudio", "--pool", "max", "--hop", 2)
    for path in out.glob("*.parquet"):
        schema = pyarrow.parquet.read_schema(path)
        assert schema.field("embedding").type.list_size == 24
        about = json.loads(schema.metadata[KIND.encode()])
        assert (about["model"], about["backend"], about["output"]) == (NAME, "torchaudio", "embeddings")
        assert (about["pool"], about["window_seconds"], about["hop_seconds"], about["dim"]) == ("max", 1.0, 2.0, 24)
        assert about["files"]["torchaudio"] == of_bundle(ports).known_sha256["torchaudio"]


@pytest.mark.parametrize("backend", ["onnx", "torchaudio"])
def test_frames_of_a_layer_are_those_of_the_port(
    backend: str, embed: Callable[..., Path], ports: Path, audio: Path
) -> None:
    found = rows(embed("--backend", backend, "--output", "layer.0", "--pool", "none"))
    row = found["deep/short.wav", 0.0]
    frames = np.reshape(np.float32(row["embedding"]), (row["frames"], -1))
    assert (frames == expected(ports, audio, backend, "layer.0")).all()
    assert found["long.wav", 1.0]["frames"] == FRAMES
    assert (found["torn.wav", 0.0]["frames"], found["torn.wav", 0.0]["embedding"]) == (0, None)


@pytest.fixture(scope="module")
def ports_with_units(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("units")
    source = Source(tiny_checkpoint, centroids={1: centroids(folder / "centroids.npy")})
    options = OnnxOptions(outputs=("embeddings", "layer.1.units"))
    return verified(make_bundle(source, Target(folder / "made", NAME), options), folder / "bundle").folder


@pytest.mark.parametrize("form", ["parquet", "zarr"])
def test_units_are_whole_numbers_and_have_no_mean(
    form: str, embed: Callable[..., Path], ports_with_units: Path, audio: Path, tmp_path: Path
) -> None:
    given = ("--bundle", ports_with_units, "--output", "layer.1.units", "--format", form)
    out = embed(*given, "--pool", "none")
    units = expected(ports_with_units, audio, "onnx", "layer.1.units")
    assert units.dtype == np.int64
    found = {key: row["embedding"] for key, row in rows(out).items()} if form == "parquet" else zarr_rows(out)
    assert np.asarray(found["deep/short.wav", 0.0]).tolist() == units.tolist()
    done = run(*given, "--audio", audio, "--out", tmp_path / "mean", "--progress", "none")
    assert done.exit_code == 2
    assert done.output.splitlines()[-1].endswith(
        "layer.1.units are numbers of centroids, which have no mean; give --pool none"
    )


def groups(out: Path) -> Iterator[Any]:
    for path in sorted(out.glob("*.zarr.zip")):
        yield zarr.open_group(zarr.storage.ZipStore(path, mode="r"), mode="r")


def zarr_rows(out: Path) -> dict[tuple[str, float], np.ndarray]:
    """Recording and start -> a vector, or the frames."""
    found: dict[tuple[str, float], np.ndarray] = {}
    for group in groups(out):
        values = group["embeddings"][:]
        each = np.split(values, np.cumsum(group["frames"][:]))[:-1] if "frames" in group else values
        places = zip(group["recording"][:], group["start"][:], strict=True)
        names = [one["recording"] for one in group.attrs["recordings"]]
        found |= {(names[place], start): one for (place, start), one in zip(places, each, strict=True)}
    return found


@pytest.mark.parametrize("pool", ["mean", "none"])
def test_zarr_holds_what_parquet_holds(pool: str, embed: Callable[..., Path]) -> None:
    table = rows(embed("--pool", pool))
    out = embed("--pool", pool, "--format", "zarr", out="zarr")
    found = zarr_rows(out)
    assert {key: value.ravel().tolist() for key, value in found.items()} == {
        key: row["embedding"] for key, row in table.items() if row["embedding"] is not None
    }
    left_out = {
        (one["recording"], one["start"]): one["reason"] for group in groups(out) for one in group.attrs["left_out"]
    }
    assert left_out == {key: row["reason"] for key, row in table.items() if row["reason"]}
    assert {group.attrs[KIND]["model"] for group in groups(out)} == {NAME}


@pytest.mark.parametrize("form", ["parquet", "zarr"])
def test_two_shares_make_the_bytes_of_one_process(form: str, embed: Callable[..., Path]) -> None:
    """As an array job does: whoever is one of it has the number of its task, and how many there are."""
    alone = embed("--format", form)
    for task in (1, 2):
        shared = embed("--format", form, "--shard", f"{task}/2", out="shared")
    assert len(parts(alone)) > 3
    assert parts(alone) == parts(shared)


@pytest.mark.slow
def test_two_workers_make_the_bytes_of_one_process(embed: Callable[..., Path]) -> None:
    assert parts(embed()) == parts(embed("--workers", 2, out="workers"))


@pytest.mark.slow
def test_a_cluster_makes_the_bytes_of_one_process(embed: Callable[..., Path], tmp_path: Path) -> None:
    """Its workers find the example on their path, and are sent files; they outlive a run, the port does not."""
    alone, others = embed(), verified(make_tiny(tmp_path / "other", seed=1), tmp_path / "bundle").folder
    (tmp_path / "cluster").mkdir()
    with running(tmp_path / "cluster", workers=1) as cluster:
        assert parts(alone) == parts(embed("--scheduler", cluster.address, out="by cluster"))
        both = parts(embed("--scheduler", cluster.address, "--bundle", others, out="by cluster"))
    assert both == parts(alone) | parts(embed("--bundle", others, out="of the other"))


def test_what_is_there_stays_and_what_was_cut_off_is_made_again(embed: Callable[..., Path]) -> None:
    out = embed()
    before = parts(out)
    cut, kept, *_ = sorted(out.glob("*.parquet"))
    cut.write_bytes(cut.read_bytes()[:-9])
    time = kept.stat().st_mtime_ns
    embed()
    assert parts(out) == before
    assert kept.stat().st_mtime_ns == time


def test_what_decides_the_numbers_decides_the_names(embed: Callable[..., Path]) -> None:
    names = set(parts(embed()))
    for other in (["--pool", "max"], ["--output", "layer.0"], ["--backend", "torchaudio"], ["--threads", 2]):
        again = {name for name in parts(embed(*other)) if name not in names}
        assert again, other
        names |= again


def refused(done: Any, said: str) -> None:
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert len(done.output.splitlines()) == 1


def test_a_bundle_that_nobody_verified_is_refused(bundle: Bundle, audio: Path, tmp_path: Path) -> None:
    given = ("--bundle", bundle.folder, "--audio", audio, "--out", tmp_path / "out", "--progress", "none")
    refused(run(*given), "holds no report of aves-verify")
    assert not (tmp_path / "out").exists()
    attach_report(bundle.folder, as_document(report_on(bundle.manifest, passed=False, problems=["red"])))
    refused(run(*given), f"says that the verification failed; verify it with: aves-verify --bundle {bundle.folder}")
    assert run(*given, "--unverified").exit_code == 0


def test_a_report_of_other_files_is_refused(bundle: Bundle, audio: Path, tmp_path: Path) -> None:
    attach_report(bundle.folder, as_document(report_on(bundle.manifest)))
    given = ("--bundle", bundle.folder, "--audio", audio, "--out", tmp_path / "out", "--progress", "none")
    refused(run(*given, "--backend", "openvino"), "its report compares onnx, torchaudio, and not openvino")
    weights = bundle.path("safetensors")
    weights.write_bytes(weights.read_bytes() + b" ")
    refused(run(*given), "is not the file that manifest.json records")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "layer.99"], "onnx gives no layer.99, but embeddings, layer.0, layer.1"),
        (["--shard", "3/2"], "--shard 3/2: expected I/N with I from 1 to N"),
        (["--scheduler", "tcp://h:1", "--workers", "2"], "workers are of this machine or of a cluster"),
        (["--hop", "0"], "a window every 0 seconds"),
        (["--audio", "gone"], "gone"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    arguments: list[str], said: str, ports: Path, audio: Path, tmp_path: Path
) -> None:
    given = ("--bundle", ports, "--out", tmp_path / "out", "--audio", audio, "--progress", "none")
    done = run(*given, *arguments)
    assert done.exit_code == 2, done.output
    assert said in done.output.splitlines()[-1]


def test_a_graph_of_a_fixed_shape_takes_windows_of_that_length(
    tiny_checkpoint: Path, audio: Path, embed: Callable[..., Path], tmp_path: Path
) -> None:
    options = OnnxOptions(fixed_shape=(1, 16_000))
    made = make_bundle(Source(tiny_checkpoint), Target(tmp_path / "made", NAME), options)
    fixed = verified(made, tmp_path / "bundle").folder
    given = ("--bundle", fixed, "--audio", audio, "--out", tmp_path / "refused", "--progress", "none")
    refused(run(*given), "this graph takes 16000 samples alone; give --window 1")
    found = rows(embed("--bundle", fixed))
    assert [key for key, row in found.items() if row["reason"] is None and key[0] != "long.wav"] == [
        ("stereo.wav", 0.0)
    ]
    assert "11200 samples at 16 kHz are too short: this port takes 16000" in found["deep/short.wav", 0.0]["reason"]


@pytest.mark.slow
def test_a_store_takes_parts_and_gives_audio(
    s3: S3Server, embed: Callable[..., Path], ports: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    here = parts(embed())
    store = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
    store.put(f"{audio}/", f"{BUCKET}/audio/", recursive=True)
    done = run(
        *("--bundle", ports, "--audio", f"s3://{BUCKET}/audio", "--out", f"s3://{BUCKET}/embeddings"),
        *("--window", WINDOW, "--shard-windows", 2, "--progress", "none"),
    )
    assert done.exit_code == 0, done.output
    there = {name.rpartition("/")[2]: store.cat(name) for name in store.glob(f"{BUCKET}/embeddings/*.*")}
    assert there == here


@pytest.mark.slow
def test_the_command_of_the_docs_runs_in_a_process_of_its_own(ports: Path, audio: Path, tmp_path: Path) -> None:
    """With the variables that Slurm sets, in a shell."""
    command = (
        f'"{sys.executable}" "{EXAMPLES / "embed.py"}" --bundle "{ports}" --audio "{audio}" --out out --window 1'
        " --shard $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
    )
    array = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "1"}
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=tmp_path,
        env={**os.environ, **array},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "windows a second" in done.stdout
    assert "list of the parts: out/" in done.stdout
    assert "left out: 2 recordings; the parts hold the reasons" in done.stderr


def test_a_port_is_loaded_from_its_own_files_alone(ports: Path, tmp_path: Path) -> None:
    """What travels to a worker of a cluster is not every file of a bundle."""
    for backend, role in {"onnx": "onnx", "torchaudio": "torchaudio"}.items():
        plan = Plan(backends=(backend,))
        files = plan.needs(of_bundle(ports))
        names = {path.name.removeprefix(NAME) for path in files.paths}
        assert names == {
            {"onnx": ".onnx", "torchaudio": ".torchaudio.pt"}[role],
            ".torchaudio.model_config.json",
            ".heads.safetensors",
        }
        lies = {path: tmp_path / backend / path.name for path in files.paths}
        (tmp_path / backend).mkdir()
        for path, place in lies.items():
            place.write_bytes(path.read_bytes())
        elsewhere = dataclasses.replace(files.moved(lies), known_sha256={})
        (clip,) = (clip.read() for clip in read_clips([record(tmp_path / "call.wav", 1.0)])[0])
        found = plan.opened(elsewhere)(clip)[backend]["final"]
        (embedded,) = dataclasses.replace(plan, clips=(clip,)).embed(of_bundle(ports))
        assert (found == embedded[backend]["final"]).all()
