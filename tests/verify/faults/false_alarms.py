"""Clean ports in every way that they are run: does the verifier ever complain?

python -m tests.verify.faults.false_alarms [SEEDS]
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from tests.verify.faults.clean_exports import EXPORTS, verified
from tests.verify.faults.fault import ENCODERS, LABELS, Kind

from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import checkpoint_contents
from aves_convert.sounds.signals import reference_signals
from aves_convert.torch_files.writer import write_torch_file
from aves_verify.backends.backend import Backend
from aves_verify.backends.onnx_session import LEVELS, OnnxBackend
from aves_verify.comparison.compare import TOLERANCES, Comparison, compare
from aves_verify.loading.load import load
from aves_verify.report.report import ConfigReport
from aves_verify.sounds.inputs import inputs
from aves_verify.subjects.subject import of_bundle

THREADS = (1, 2)
EXPORT_SEEDS = 2


def clean_runs(kind: Kind, seed: int, *, every: int = 1) -> Iterator[Comparison]:
    """Every reference signal, padded and batched input, on both ports with all threads and optimisation levels.

    ``every``: 2 for every second of these signals.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        contents = checkpoint_contents(
            ENCODERS[kind], seed=f"{kind}/{seed}", task={"normalize": kind == "pre-norm", "labels": LABELS}
        )
        write_torch_file(contents, folder / "x.pt")
        make_bundle(Source(folder / "x.pt"), Target(folder / "bundle", "x"))
        loaded = load(of_bundle(folder / "bundle", folder / "x.pt"), ("fairseq", "torchaudio"))
        assert not loaded.problems
        assert loaded.exact is not None
        original, torchaudio = loaded.backends
        graphs = [
            OnnxBackend(folder / "bundle" / "x.onnx", threads=threads, optimisation=level)
            for threads in THREADS
            for level in LEVELS
        ]
        for item in inputs(reference_signals()[::every], receptive_field=400, normalize=loaded.normalize):
            expected, exact = original.run(item.waveform), loaded.exact.run(item.waveform)

            def against(port: Backend) -> Comparison:
                return compare(
                    port.run(item.waveform)["final"],  # noqa: B023 - called before the next item
                    expected["final"],  # noqa: B023
                    backend=port.name,
                    reference_name="fairseq",
                    clip=item.name,  # noqa: B023
                    layer="final",
                    tolerance=TOLERANCES[port.kind],
                    exact=exact["final"],  # noqa: B023
                )

            yield from map(against, graphs)
            for threads in THREADS:
                torch.set_num_threads(threads)
                yield against(torchaudio)


def exports(kind: Kind, seed: int) -> Iterator[ConfigReport]:
    """Verifications of every kind of ordinary export; what is wrong with one is printed."""
    with tempfile.TemporaryDirectory() as name:
        checkpoint = Path(name) / "x.pt"
        contents = checkpoint_contents(
            ENCODERS[kind], seed=f"{kind}/{seed}", task={"normalize": kind == "pre-norm", "labels": LABELS}
        )
        write_torch_file(contents, checkpoint)
        for export, make in EXPORTS.items():
            if export == "dynamo" and seed > 0:
                continue  # it takes longer than all others together
            report = verified(make, checkpoint, Path(name) / "x.onnx", seed)
            if not report.passed:
                print(kind, export, report.problems, [c.reason for c in report.comparisons if c.status == "fail"])
            yield report


def counted(seeds: int) -> str:
    """The statuses of all clean runs with that many seeds, in one sentence; each alarm is printed."""
    threads = torch.get_num_threads()
    statuses, ratio = Counter[str](), 0.0
    for comparison in (c for kind in ENCODERS for seed in range(seeds) for c in clean_runs(kind, seed)):
        statuses[comparison.status] += 1
        ratio = max(ratio, comparison.error_ratio or 0.0)
        if comparison.status != "pass":
            print(comparison.backend, comparison.clip, comparison.status, comparison.reason)
    torch.set_num_threads(threads)
    passed = [report.passed for kind in ENCODERS for seed in range(EXPORT_SEEDS) for report in exports(kind, seed)]
    told = ", ".join(f"{count:,} {status}" for status, count in statuses.items())
    return (
        f"{sum(statuses.values()):,} runs of clean ports: {told}; the largest error ratio is {ratio:.2f}.\n"
        f"{len(passed)} verifications of clean exports, of every kind and with offsets: {sum(passed)} pass."
    )
