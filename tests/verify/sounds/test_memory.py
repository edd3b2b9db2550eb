"""A clip that is too long for the memory at hand is told before it is run."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, weights

from aves_convert.sounds.clip import Clip
from aves_verify.sounds.memory import available, left_in_container, needed, too_long

GIB = 2**30
BASE = dataclasses.replace(
    TINY,
    extractor_conv_layer_config=((512, 10, 5), *((512, 3, 2),) * 4, *((512, 2, 2),) * 2),
    encoder_embed_dim=768,
    encoder_num_heads=12,
)


def test_what_a_base_encoder_takes() -> None:
    """Peaks of processes that ran one clip, less what they held before it; the guard may not promise less."""
    for seconds, runtime, exact in ((10, 125, 375), (30, 417, 1125), (60, 988, 2259), (120, 5376, 4515)):  # MiB
        measured = (runtime + exact) * 2**20
        assert measured <= needed(BASE, seconds * 16_000) <= 1.3 * measured
    # Verifying two such clips, less verifying one of half a second; MiB.
    for seconds, beyond in ((30, 1259), (60, 3237), (120, 10432)):
        assert beyond * 2**20 <= needed(BASE, seconds * 16_000)


def test_memory_grows_with_the_square_of_the_length_in_the_end() -> None:
    assert 1.9 < needed(BASE, 640_000) / needed(BASE, 320_000) < 2.3
    assert 3.5 < needed(BASE, 64_000_000) / needed(BASE, 32_000_000) < 4.1


def test_a_clip_too_long_is_told_with_the_length_that_fits() -> None:
    clip = Clip("long", np.zeros(16_000, np.float32), "long.wav")
    free = needed(BASE, 16_000)
    assert too_long(clip, BASE, free) == ""
    problem = too_long(clip, BASE, free - 1)
    assert problem.startswith(
        "long.wav: its 1.0 s would take about 0.1 GiB of memory, and 0.1 GiB are free, enough for 1.0 s"
    )
    assert problem.endswith("cut it into shorter clips, or use a machine with more memory")
    assert "enough for 0.0 s" in too_long(clip, BASE, 0)


def test_every_layers_output_is_kept_where_all_are_compared() -> None:
    """Three encoders' in float32 and the exact one's in float64, of each layer [frames, dim]."""
    samples = 16_000
    more = needed(BASE, samples, layers=True) - needed(BASE, samples)
    assert more == BASE.encoder_num_layers * BASE.frames(samples) * 768 * (3 * 4 + 8)
    clip = Clip("x", np.zeros(samples, np.float32), "x.wav")
    assert too_long(clip, BASE, needed(BASE, samples)) == ""
    assert too_long(clip, BASE, needed(BASE, samples), layers=True)


def test_the_memory_at_hand_is_the_systems() -> None:
    assert 0 < available() <= psutil.virtual_memory().total


def test_or_the_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aves_verify.sounds.memory.left_in_container", lambda _: 5)
    assert available() == 5


OF_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file"))
OF_VERSION_2 = ("memory.max", "memory.current", ("active_file", "inactive_file"))
VERSIONS = {
    "1": ("5:cpu,cpuacct:/x\n4:memory:/a/b\n", "sys/fs/cgroup/memory", OF_VERSION_1, "9223372036854771712"),
    "2": ("0::/a/b\n", "sys/fs/cgroup", OF_VERSION_2, "max"),
}


def limit(group: Path, version: str, most: str, used: int, files: int | None = None) -> None:
    of_limit, of_use, (active, inactive) = VERSIONS[version][2]
    group.mkdir(parents=True, exist_ok=True)
    (group / of_limit).write_text(f"{most}\n")
    (group / of_use).write_text(f"{used}\n")
    if files is not None:
        (group / "memory.stat").write_text(f"anon 4000\n{active} 200\n{inactive} {files - 200}\n")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", ["", "a", "a/b"], ids=["all of it", "group above", "own group"])
def test_a_containers_limit_is_the_tightest_of_its_groups(version: str, folder: str, tmp_path: Path) -> None:
    """What it holds of files is given back before a process is ended."""
    assert left_in_container(tmp_path) == sys.maxsize
    groups, top, _, unlimited = VERSIONS[version]
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text(groups)
    assert left_in_container(tmp_path) == sys.maxsize
    for each in ("", "a", "a/b"):
        limit(tmp_path / top / each, version, unlimited, 5000, 700)
    assert left_in_container(tmp_path) > 2**60
    group = tmp_path / top / folder
    limit(group, version, "8000", 5000, 700)
    assert left_in_container(tmp_path) == 3700
    limit(group, version, "8000", 9000, 700)
    assert left_in_container(tmp_path) == 0
    (group / "memory.stat").unlink()
    limit(group, version, "8000", 5000)
    assert left_in_container(tmp_path) == 3000


def test_a_second_clip_of_a_length_takes_no_more_than_the_first(tmp_path: Path) -> None:
    """ONNX Runtime would lay its arrays out anew for it, beside the first one's, and take half as much again."""
    onnx.save(encoder_graph(TINY, weights(TINY)), tmp_path / "x.onnx")
    program = """
import json, sys
from pathlib import Path
import numpy as np
import psutil
from aves_verify.backends.onnx_runtime import OnnxSession

backend, clip = OnnxSession(Path(sys.argv[1])), np.zeros((1, 96_000), np.float32)
held = [psutil.Process().memory_info().rss]
for _ in range(3):
    backend.run(clip)
    held.append(psutil.Process().memory_info().rss)
print(json.dumps(held))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "x.onnx")]
    before, first, *later = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert first - before > 100 * 2**20  # the scores: there is something to be taken twice
    assert max(later) - before < 1.1 * (first - before)
