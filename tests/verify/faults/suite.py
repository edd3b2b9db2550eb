"""Every fault put into a good bundle, and what the verifier says of it.

python -m tests.verify.faults.suite [FILE…]     the table, as Markdown
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from tests.verify.faults import false_alarms
from tests.verify.faults.export_faults import EXPORT_FAULTS
from tests.verify.faults.fault import (
    BATCH,
    ENCODERS,
    FILE,
    GRAPHS,
    LABELS,
    NAMED,
    REFUSED,
    SMALLER,
    WAVEFORM,
    Fault,
    Kind,
    Port,
)
from tests.verify.faults.file_faults import FILE_FAULTS
from tests.verify.faults.folder_faults import FOLDER_FAULTS
from tests.verify.faults.graph_faults import GRAPH_FAULTS
from tests.verify.faults.hidden_faults import HIDDEN_FAULTS
from tests.verify.faults.output_faults import OUTPUT_FAULTS
from tests.verify.faults.reduced_faults import INVISIBLE, REDUCED_FAULTS, on_smaller_graphs
from tests.verify.faults.weight_faults import WEIGHT_FAULTS

from aves_artifacts.base.errors import InputError
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.convert import fairseq_to_onnx
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import checkpoint_contents
from aves_convert.graph.options import OnnxOptions
from aves_convert.sounds.signals import reference_signals
from aves_convert.torch_files.writer import write_torch_file
from aves_verify.audit.audit import OTHERWISE
from aves_verify.report.report import ConfigReport
from aves_verify.subjects.subject import Subject, of_bundle, of_files
from aves_verify.verification.plan import Plan
from aves_verify.verification.recording import make_recording
from aves_verify.verification.verify import verify_subject

FAULTS = (
    *WEIGHT_FAULTS,
    *GRAPH_FAULTS,
    *EXPORT_FAULTS,
    *HIDDEN_FAULTS,
    *FILE_FAULTS,
    *OUTPUT_FAULTS,
    *FOLDER_FAULTS,
    *REDUCED_FAULTS,
)
# Enough to see every fault: tonal, noisy, silent, with an offset, quiet, too loud, of odd length.
NAMES = ("chirp", "soundscape", "silence", "dc_offset", "very_quiet", "beyond_full_scale", "odd_frames")
CLIPS = tuple(c for c in reference_signals() if c.name in NAMES)
FEW = tuple(c for c in CLIPS if c.name in ("chirp", "dc_offset", "odd_frames"))
_OPTIONS: dict[Port, OnnxOptions] = {
    "torch.onnx": OnnxOptions(exporter="torch"),
    "onnx, all layers": OnnxOptions(layers="all"),
    "named outputs": OnnxOptions(outputs=NAMED),
    "onnx.int8": OnnxOptions(precision="int8"),
    "onnx.float16": OnnxOptions(precision="float16"),
    "onnx.float16-weights": OnnxOptions(weights="float16"),
}
SEEDS = (0, 1)  # of the encoders' weights and of what is drawn: each fault is caught with every one
_DRAWN = (0, 31)  # seeds of a verification whose long probe is no longer than it must be


@dataclass(frozen=True)
class Finding:
    """What the verifier said of one fault."""

    fault: Fault
    caught_by: tuple[str, ...]  # "outputs", "weights", "settings", "refused"; empty: not caught
    stage: str  # the stage that it named
    size: float | None  # the largest absolute difference, where there is one
    error_ratio: float | None

    @property
    def placed(self) -> bool:
        """Did it name the right stage?"""
        return self.stage in self.fault.stages


@dataclass(frozen=True)
class Original:
    """A checkpoint, a good bundle of it, and what else a fault is put into, each made when it is first asked for."""

    checkpoint: Path
    bundle: Path

    def graph(self, port: Port) -> Path:
        """A good graph of this kind."""
        if port == "onnx":
            return self.bundle / "x.onnx"
        path = self.bundle.parent / f"{self.bundle.name}.{port}.onnx"
        if not path.exists() and port == "ORT-optimised":
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
            options.optimized_model_filepath, options.log_severity_level = str(path), 3
            onnxruntime.InferenceSession(str(self.graph("torch.onnx")), options, providers=["CPUExecutionProvider"])
        elif not path.exists():
            source = Source(self.checkpoint, centroids=self.centroids())
            fairseq_to_onnx(source, path, _OPTIONS[port])
        return path

    def centroids(self) -> dict[int | None, Path]:
        """As far from each other as the features of layer 1 are."""
        path = self.bundle.parent / "centroids.npy"
        if not path.exists():
            np.save(path, np.random.default_rng(0).standard_normal((12, 24)).astype(np.float32))
        return {1: path}

    def recording(self) -> Path:
        """What fairseq computes of the few clips."""
        path = self.bundle.parent / f"{self.bundle.name}.reference"
        if not path.exists():
            make_recording(of_bundle(self.bundle, self.checkpoint), "fairseq", FEW, path, layers="last")
        return path


@contextmanager
def originals(seed: int = 0) -> Iterator[dict[Kind, Original]]:
    """Both encoders with their bundles, removed after."""
    with tempfile.TemporaryDirectory() as folder:
        made: dict[Kind, Original] = {}
        for kind, entries in ENCODERS.items():
            checkpoint = Path(folder) / f"{kind}.pt"
            drawn = kind if seed == 0 else f"{kind}/{seed}"
            contents = checkpoint_contents(
                entries, seed=drawn, task={"normalize": kind == "pre-norm", "labels": LABELS}
            )
            write_torch_file(contents, checkpoint)
            make_bundle(Source(checkpoint), Target(Path(folder) / kind, "x", also=("transformers",)))
            made[kind] = Original(checkpoint, Path(folder) / kind)
        yield made


def find(fault: Fault, original: Original, *, seed: int = 0, thorough: bool = True) -> Finding:
    """Put the fault into a copy of the bundle and verify that, the damaged port alone.

    ``thorough``: on seven clips, and explained. Else on three, and graphs are only looked into.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "bundle"
        shutil.copytree(original.bundle, folder)
        if fault.port in GRAPHS:
            shutil.copy(original.graph(fault.port), folder / "x.onnx")
        if fault.port == "recording":
            shutil.copy(original.recording(), folder / "x.reference")
        try:
            fault.damage(*fault.files(folder))
            report = verify_subject(subject(fault, original, folder), plan(fault, seed, thorough=thorough))
        except InputError as error:
            # the message has to name the file; that the shared process grew too large says nothing of the fault
            named = str(folder) in str(error) and "within limits" not in str(error)
            return Finding(fault, (REFUSED,) if named else (), REFUSED, None, None)
    return _finding(fault, report)


def plan(fault: Fault, seed: int, *, thorough: bool) -> Plan:
    """How a fault is looked for."""
    if fault.port in SMALLER:
        return Plan(CLIPS if thorough else FEW, ("fairseq", fault.port), seed=_DRAWN[seed])
    port = "onnx" if fault.port in GRAPHS else "transformers" if fault.port == "transformers" else "torchaudio"
    backends = ("fairseq", "torchaudio", "onnx") if fault.port == "bundle" else ("fairseq", port)
    clips = CLIPS if thorough and fault.port != "recording" else FEW
    # Others' exports depart in their first norm as they are, by little; what is more is told from within.
    explained = port != "onnx" or (thorough and fault.port not in ("torch.onnx", "ORT-optimised"))
    return Plan(clips, backends, explain=explained, seed=_DRAWN[seed])


def subject(fault: Fault, original: Original, folder: Path) -> Subject:
    """The damaged file as somebody hands it over: without the manifest, but with what that says of the waveform."""
    if fault.port == "bundle":
        return of_bundle(folder, original.checkpoint)
    if fault.port == "transformers":
        return of_files(original.checkpoint, None, None, None, folder / "x.transformers")
    weights, config = folder / "x.torchaudio.pt", folder / "x.torchaudio.model_config.json"
    graph = folder / "x.onnx" if fault.port in GRAPHS else None
    checkpoint = None if fault.port == "recording" else original.checkpoint
    if fault.port in SMALLER:
        reduced = {fault.port: folder / "x.onnx"}
        found = dataclasses.replace(of_files(checkpoint, None, None, None), reduced=reduced)
        return dataclasses.replace(found, normalize=normalize_of(folder))
    found = of_files(checkpoint, weights if graph is None else None, config if graph is None else None, graph)
    says = normalize_of(folder)
    recording = folder / "x.reference" if fault.port == "recording" else None
    heads = folder / "x.heads.safetensors" if graph is None else None
    centroids = original.centroids() if fault.port == "named outputs" else {}
    return dataclasses.replace(found, normalize=says, recording=recording, heads=heads, centroids=centroids)


def normalize_of(folder: Path) -> bool:
    says: bool = json.loads((folder / "manifest.json").read_text())["encoder"]["normalize"]
    return says


def _finding(fault: Fault, report: ConfigReport) -> Finding:
    failed = [c for c in report.comparisons if c.status == "fail"]
    assert not any("within limits" in c.reason for c in failed), "the shared process grew too large"
    weights = {problem for search in report.weights.values() for problem in search.problems}
    inside = {problem for audit in report.audits for problem in audit.problems}
    caught = ["outputs"] if failed else []
    caught += ["weights"] if weights and not any("geometry" in p for p in weights) else []
    caught += ["inside"] if inside else []
    caught += ["settings"] if any("geometry" in p for p in weights) or set(report.problems) - weights - inside else []
    sizes = [c.max_abs for c in report.comparisons if c.quantiles is not None]
    ratios = [c.error_ratio for c in report.comparisons if c.error_ratio is not None]
    return Finding(fault, tuple(caught), _stage(report), max(sizes, default=None), max(ratios, default=None))


# Where only these inputs fail, they say what is wrong better than any stage; an input's name has one of these parts.
_TELLING = {
    BATCH: ("batch of 3", "probe: batch"),
    "length": ("probe: long",),
    "level": ("probe: quiet", "probe: loud"),
    "offset": ("probe: offset", "probe: offset below", "probe: calls on an offset"),
    "second run": (", run again",),
    "optimisation": (", optimisation ",),
}


def _stage(report: ConfigReport) -> str:
    """The stage that the report names: by explanation or audit, by the inputs that fail, or by its problems."""
    for explanation in report.explanations:
        if explanation.lost is not None and explanation.lost.stage.startswith("output "):
            return "output"  # however an inner value departs, by so little
        if explanation.first is not None:
            return explanation.first.stage.partition(" layer.")[0]
    if any(problem.startswith(f"{WAVEFORM}:") for problem in report.problems):
        return WAVEFORM
    return _inside(report) or _by_inputs(report)


def _inside(report: ConfigReport) -> str:
    """The first stage whose own error is too large, or that rounds otherwise than the others; empty without one."""
    for stages in (clip.stages for audit in report.audits for clip in audit.clips):
        departing = [stage for stage in stages if stage.departs]
        if departing:  # what was not found between the last right stage and this one is where it may have begun
            named = (*departing[0].between, departing[0].name)[0]
            return "output" if named.startswith("output") else named.partition(",")[0]
    for problem in report.problems:
        if problem.endswith(OTHERWISE):
            return problem.split(": ")[1].partition(",")[0]
    return ""


def _by_inputs(report: ConfigReport) -> str:
    """What the inputs that fail have in common, or that something is wrong beside the numbers."""
    failed = {c.clip for c in report.comparisons if c.status == "fail"}
    for stage, parts in _TELLING.items():
        if failed and all(any(part in clip for part in parts) for clip in failed):
            return stage
    if failed:
        return "output"
    return FILE if report.problems else ""


def table(findings: list[Finding]) -> Iterator[str]:
    """The findings as a Markdown table."""
    yield "| fault | in | caught by | stage named | max abs. difference | error ratio |"
    yield "|---|---|---|---|---|---|"
    for f in findings:
        stage = f.stage if f.placed else f"{f.stage or 'none'} (expected {' or '.join(f.fault.stages)})"
        size = "" if f.size is None else f"{f.size:.1e}"
        ratio = "" if f.error_ratio is None else f"{f.error_ratio:.3g}"
        caught = ", ".join(f.caught_by) or "**not caught**"
        yield f"| {f.fault.name} | {f.fault.port} | {caught} | {stage} | {size} | {ratio} |"


_ABOUT = """\
# What the verifier catches

Each fault is a realistic porting mistake, put into a good port of a small encoder and verified against fairseq: into
our graph, plain, with all layers or with outputs by name, into our smaller graphs, into what `torch.onnx.export` writes
and what ONNX Runtime makes of that, into TorchAudio weights, their config and their heads, into the folder that
transformers loads, into a recording that stands for fairseq, and into a bundle. "Outputs": the numbers fail.
"Weights": a tensor is not the original's, or is not used. "Inside": a stage, an operator or an attribute within the
graph. "Settings": what a file says of itself, or how its users read it. The stage is the first one that is named; of a
fault that shows on some inputs alone, these inputs.
"""


def page(findings: list[Finding], clean: str) -> Iterator[str]:
    """The table with what it is, and how clean ports fared."""
    caught, placed = sum(bool(f.caught_by) for f in findings), sum(f.placed for f in findings)
    yield _ABOUT
    yield from table(findings)
    yield (
        f"\n{len(findings)} faults: {caught} caught, the stage right in {placed}. With other weights and other inputs "
        f"all are caught again.\n{clean}"
    )
    yield "\nMade by `nox -s faults`."


def everything() -> Iterator[Finding]:
    """Each fault with the first seed; and again with others, which ends where one is not caught."""
    for seed in SEEDS:
        with originals(seed) as made:
            for fault in FAULTS:
                finding = find(fault, made[fault.encoder], seed=seed, thorough=seed == SEEDS[0])
                print(seed, *list(table([finding]))[2:], file=sys.stderr, flush=True)
                if seed == SEEDS[0]:
                    yield finding
                elif not finding.caught_by:
                    sys.exit(f"not caught with seed {seed}: {fault.name}")


def hidden() -> Iterator[tuple[str, Port]]:
    """The mistakes in smaller graphs that are not caught; ends where that is another list than the known one."""
    with originals() as made:
        for fault in on_smaller_graphs():
            finding = find(fault, made[fault.encoder])
            print(*list(table([finding]))[2:], file=sys.stderr, flush=True)
            if not finding.caught_by:
                yield fault.name, fault.port
            if bool(finding.caught_by) is ((fault.name, fault.port) in INVISIBLE):
                sys.exit(f"in {fault.port}, {fault.name} is {'caught' if finding.caught_by else 'not caught'}")


def main() -> None:
    """Run all faults and count false alarms; print the page, and write it where an argument says."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as beside:
        clean = beside.submit(false_alarms.counted, seeds=4)
        text = "\n".join(page(list(everything()), clean.result())) + "\n"
    print(text)
    print("hidden by what smaller graphs may cost:", *hidden(), sep="\n")
    for name in sys.argv[1:]:
        Path(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
