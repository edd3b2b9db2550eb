"""Every fault put into a good bundle, and what the verifier says of it.

python -m tests.verify.faults.suite [NAME…]     the table, as Markdown
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.verify.faults import false_alarms
from tests.verify.faults.fault import BATCH, ENCODERS, REFUSED, WAVEFORM, Fault, Kind
from tests.verify.faults.graph_faults import GRAPH_FAULTS
from tests.verify.faults.weight_faults import WEIGHT_FAULTS

from aves_artifacts.base.errors import InputError
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import checkpoint_contents
from aves_convert.torch_files.writer import write_torch_file
from aves_verify.report.report import ConfigReport
from aves_verify.sounds.signals import reference_signals
from aves_verify.subjects.subject import Subject, of_files
from aves_verify.verification.plan import Plan
from aves_verify.verification.verify import verify_subject

FAULTS = (*WEIGHT_FAULTS, *GRAPH_FAULTS)
# Enough to see every fault: tonal, noisy, silent, with an offset, quiet, too loud, of odd length.
NAMES = ("chirp", "soundscape", "silence", "dc_offset", "very_quiet", "beyond_full_scale", "odd_frames")
CLIPS = tuple(c for c in reference_signals() if c.name in NAMES)
PLANS = {name: Plan(CLIPS, ("fairseq", name), explain=True) for name in ("torchaudio", "onnx")}


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
    """A checkpoint and a good bundle of it."""

    checkpoint: Path
    bundle: Path


@contextmanager
def originals() -> Iterator[dict[Kind, Original]]:
    """Both encoders with their bundles; removed after."""
    with tempfile.TemporaryDirectory() as folder:
        made: dict[Kind, Original] = {}
        for kind, entries in ENCODERS.items():
            checkpoint = Path(folder) / f"{kind}.pt"
            contents = checkpoint_contents(entries, seed=kind, task={"normalize": kind == "pre-norm"})
            write_torch_file(contents, checkpoint)
            make_bundle(Source(checkpoint), Target(Path(folder) / kind, "x"))
            made[kind] = Original(checkpoint, Path(folder) / kind)
        yield made


def find(fault: Fault, original: Original) -> Finding:
    """Put the fault into a copy of the bundle and verify that, the damaged port alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "bundle"
        shutil.copytree(original.bundle, folder)
        files = [folder / f"x.{ending}" for ending in ("torchaudio.pt", "torchaudio.model_config.json", "onnx")]
        fault.damage(*(files[:2] if fault.backend == "torchaudio" else (files[2], files[2])))
        try:
            report = verify_subject(subject(fault, original, folder), PLANS[fault.backend])
        except InputError as error:
            named = str(folder) in str(error)  # the message has to name the file
            return Finding(fault, (REFUSED,) if named else (), REFUSED, None, None)
    return _finding(fault, report)


def subject(fault: Fault, original: Original, folder: Path) -> Subject:
    """The damaged file as somebody hands it over: without the manifest, but with what that says of the waveform."""
    weights, config = folder / "x.torchaudio.pt", folder / "x.torchaudio.model_config.json"
    graph = folder / "x.onnx" if fault.backend == "onnx" else None
    found = of_files(original.checkpoint, weights if graph is None else None, config if graph is None else None, graph)
    says = json.loads((folder / "manifest.json").read_text())["encoder"]["normalize"]
    return dataclasses.replace(found, normalize=says)


def _finding(fault: Fault, report: ConfigReport) -> Finding:
    failed = [c for c in report.comparisons if c.status == "fail"]
    caught = ["outputs"] if failed else []
    caught += ["settings"] if any("manifest says" in p or "geometry" in p for p in report.problems) else []
    caught += ["weights"] if any("is not the original's: max" in p for p in report.problems) else []
    sizes = [c.max_abs for c in report.comparisons if c.quantiles is not None]
    ratios = [c.error_ratio for c in report.comparisons if c.error_ratio is not None]
    return Finding(fault, tuple(caught), _stage(report), max(sizes, default=None), max(ratios, default=None))


def _stage(report: ConfigReport) -> str:
    """The stage that the report names: by the inputs that fail, by its explanation, or by its problems."""
    failed = {c.clip for c in report.comparisons if c.status == "fail"}
    if failed and all(name.startswith(("batch of 3", "probe: batch")) for name in failed):
        return BATCH
    for explanation in report.explanations:
        if explanation.first is not None:
            return explanation.first.stage
    for problem in report.problems:
        if problem.startswith(f"{WAVEFORM}:"):
            return WAVEFORM
    return "output" if failed else ""


def table(findings: list[Finding]) -> Iterator[str]:
    """The findings as a Markdown table."""
    yield "| fault | in | caught by | stage named | max abs. difference | error ratio |"
    yield "|---|---|---|---|---|---|"
    for f in findings:
        stage = f.stage if f.placed else f"{f.stage or 'none'} (expected {' or '.join(f.fault.stages)})"
        size = "" if f.size is None else f"{f.size:.1e}"
        ratio = "" if f.error_ratio is None else f"{f.error_ratio:.3g}"
        caught = ", ".join(f.caught_by) or "**not caught**"
        yield f"| {f.fault.name} | {f.fault.backend} | {caught} | {stage} | {size} | {ratio} |"


def page(findings: list[Finding], clean: str) -> Iterator[str]:
    """The table with what it is, and how clean ports fared."""
    caught, placed = sum(bool(f.caught_by) for f in findings), sum(f.placed for f in findings)
    yield "# What the verifier catches\n"
    yield (
        "Each fault is a realistic porting mistake, put into a good bundle of a small encoder and verified against "
        'fairseq on seven\nclips. "Outputs": the numbers fail. "Weights": a tensor is not the original\'s, bit for '
        'bit. "Settings": the config or\nthe manifest says something else. The stage is the first one that '
        "`--explain` names.\n"
    )
    yield from table(findings)
    yield f"\n{len(findings)} faults: {caught} caught, the stage right in {placed}. {clean}"
    yield "\nMade by `nox -s faults`."


def main() -> None:
    """Run all faults and count false alarms; print the page, and write it where an argument says."""
    findings = []
    with originals() as made:
        for fault in FAULTS:
            findings.append(find(fault, made[fault.encoder]))
            print(*list(table(findings[-1:]))[2:], file=sys.stderr, flush=True)
    text = "\n".join(page(findings, false_alarms.counted(seeds=4))) + "\n"
    print(text)
    for name in sys.argv[1:]:
        Path(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
