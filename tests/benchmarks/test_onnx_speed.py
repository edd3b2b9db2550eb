"""The speed benchmark runs from end to end on a tiny model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="it reads the peak memory from /proc")
def test_quick(tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    command = [sys.executable, "-m", "tests.benchmarks.onnx_speed", "--quick", "--out", str(out)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], capture_output=True)
    results = json.loads(out.read_text())
    for row in results["speed"]:
        assert row["times"].keys() == {"graph", "fused", "torchscript", "dynamo"}
        assert all(ratio > 0 for others in row["ratios"].values() for ratio in others.values())
    assert [row["threads"] for row in results["speed"]] == [1, 2]
    assert all(peak > 20 for row in results["memory in MiB"] for peak in row["peaks"].values())
    assert [len(times) for times in results["writing"].values()] == [5, 5]
