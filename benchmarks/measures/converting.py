"""A genuine checkpoint to TorchAudio, transformers and a bundle, against their own routes and optimum's export."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.peers import packages as peers
from benchmarks.processes import Command, Run, python, take_turns, tool
from benchmarks.report.results import Part, Row

ALONE, ROUTE = "torchaudio's import_fairseq_model", "the same and optimum's export"
OPTIMUM = "optimum's export of a HubertModel"
SCRIPT = "transformers' own script, by way of fairseq"
STARTS = ("aves-artifacts", "aves-convert", "aves-verify")


def converting(bench: Bench) -> Part:
    """Wall time and peak memory of whole commands, from a process's start to its end; the checkpoint is cached."""
    out = bench.work / "converted"
    out.mkdir(exist_ok=True)
    folder, names = out / "transformers", (bench.checkpoint, "--name", "x", "--force")
    commands: dict[str, Command] = {
        "torchaudio": tool("aves-convert", "fairseq2torchaudio", bench.checkpoint, "--out", out, "--force"),
        "bundle": tool("aves-convert", "bundle", bench.checkpoint, "--out", out / "bundle", "--name", "x", "--force"),
        "bundle with": tool("aves-convert", "bundle", *names, "--out", out / "bundle-with", "--with", "transformers"),
        "transformers": tool("aves-convert", "fairseq2transformers", bench.checkpoint, "--out", folder, "--force"),
        "onnx": tool("aves-convert", "fairseq2onnx", bench.checkpoint, "--out", out / "x.onnx", "--force"),
        "start": [sys.executable, "-c", "pass"],
    }
    if not bench.quick:
        commands |= _peers(bench, out)
    runs = take_turns(commands, 1 if bench.quick else 5, warm_up=not bench.quick)
    return Part(rows=_rows(bench, runs, out))


def _peers(bench: Bench, out: Path) -> dict[str, Command]:
    bench.graphs(["optimum"])  # leaves the model folder
    route = Path(__file__).parents[1] / "peers" / "torchaudio_route.py"
    variables = [f"{name}={value}" for name, value in peers.ROUTE_VARIABLES.items()]
    files = [str(bench.checkpoint), str(out / "route.pt"), str(out / "route.json")]
    interpreter, pretrained = peers.optimum(bench.work), bench.work / "graphs" / "optimum" / "pretrained"
    return {
        "script": ["env", *variables, *python("benchmarks.peers.transformers_route", bench.checkpoint, out / "script")],
        "route": ["env", *variables, str(peers.torchaudio_route(bench.work)), str(route), *files],
        "optimum": peers.optimum_export(interpreter, pretrained, out / "optimum"),
        "optimum alone": peers.optimum_export_alone(interpreter, pretrained, out / "optimum-alone"),
    }


def _rows(bench: Bench, runs: dict[str, list[Run]], out: Path) -> list[Row]:
    weights = (out / "x.onnx").stat().st_size
    whole = bench.checkpoint.stat().st_size
    start = min(each.seconds for each in runs["start"])
    memory = [each.peak_mib for each in runs.get("route", [])]

    def seconds(name: str) -> list[float]:
        return [each.seconds for each in runs.get(name, [])]

    def after_route(name: str) -> list[float]:
        return [a + b for a, b in zip(seconds("route"), seconds(name), strict=True)]

    def floor(read: int, files: int) -> float:
        return start + bench.floors.io_seconds(read, files * weights)

    bundle, unchecked = "checkpoint to a bundle: TorchAudio, safetensors, ONNX", ", optimum's graph not run"
    three = (floor(whole, 3), "Python, the checkpoint read and three files written")
    return [
        Row(
            "checkpoint to TorchAudio files",
            ALONE,
            "s",
            seconds("torchaudio"),
            seconds("route"),
            0.40,
            floor(weights, 1),
            "Python, the weights read and written",
        ),
        Row(
            "checkpoint to TorchAudio files, peak memory",
            ALONE,
            "MiB",
            [each.peak_mib for each in runs["torchaudio"]],
            memory,
            0.40,
        ),
        Row(
            "checkpoint to a folder of transformers",
            SCRIPT,
            "s",
            seconds("transformers"),
            seconds("script"),
            0.20,
            floor(weights, 1),
            "Python, the weights read and written",
        ),
        Row(
            "checkpoint to a bundle with a folder of transformers",
            SCRIPT,
            "s",
            seconds("bundle with"),
            seconds("script"),
            None,
            floor(whole, 4),
            "Python, the checkpoint read and four files written",
        ),
        Row(bundle, ROUTE, "s", seconds("bundle"), after_route("optimum"), 0.35, *three),
        Row(bundle + unchecked, ROUTE, "s", seconds("bundle"), after_route("optimum alone"), None, *three),
        Row(
            f"checkpoint to ONNX{unchecked}",
            OPTIMUM,
            "s",
            seconds("onnx"),
            seconds("optimum alone"),
            None,
            floor(whole, 1),
            "Python, the checkpoint read and one file written",
        ),
    ]


def starting(bench: Bench) -> Part:
    """How long ``--help`` takes, and the writing of a graph once all is imported."""
    rounds = 1 if bench.quick else 5
    helps = take_turns({name: tool(name, "--help") for name in STARTS}, rounds)
    rows = [
        Row(f"{name} --help", "", "s", [each.seconds for each in runs], allowed=0.3) for name, runs in helps.items()
    ]
    out = bench.work / "written.onnx"
    (write,) = take_turns(
        {"write": python("benchmarks.measures.writing", bench.checkpoint, out, rounds)}, 1, warm_up=False
    )["write"]
    out.unlink()
    for what, times in json.loads(write.output).items():
        rows.append(Row(f"{what}, after imports", "", "s", times, allowed=3.0))
    return Part(rows=rows)
