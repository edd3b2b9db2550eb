"""The commands of aves-verify corpus."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aves_artifacts.base.command_line import Group, say
from aves_artifacts.base.errors import InputError
from aves_artifacts.base.extras import need
from aves_verify.cli import corpus_options, options

if TYPE_CHECKING:
    from aves_verify.runs.driving import Crew
    from aves_verify.runs.run import Done, Shards


@click.group(cls=Group)
def corpus() -> None:
    """Verify on a whole corpus, by many machines.

    Recordings are cut into windows, and these into parts that are done one by one, wherever there is a process to do
    them. What is done is not done again. In the end there is one report.

    \b
    aves-verify corpus run --bundle DIR --fairseq CKPT --audio FOLDER --parts PARTS --workers 8
    aves-verify corpus report --parts PARTS --report REPORT
    """


@corpus.command()
@options.subject
@options.which
@options.backends
@options.layers
@options.limits
@options.seed
@corpus_options.cutting
@corpus_options.looking
@corpus_options.reference
@corpus_options.drivers
def run(
    audio: tuple[str, ...],
    parts: str,
    window: float,
    hop: float | None,
    shard_windows: int,
    threads: int,
    exact_every: int,
    worst: int,
    shard: str | None,
    workers: int | None,
    scheduler: str | None,
    retries: int,
    check: bool,
    form: Any,
    layers: Any,
    backends: str | None,
    atol: float | None,
    rtol: float | None,
    min_snr: float | None,
    min_cosine: float | None,
    seed: int | None,
    onnx_provider: str | None,
    openvino_device: str | None,
    openvino_precision: str | None,
    backend_options: tuple[str, ...],
    reference: str | None,
    **selected: Any,
) -> None:
    """Compare ports with the original on a corpus.

    Every window is run through all of them. What was found is written as parts, of which aves-verify corpus report
    makes one report. A run that was stopped, or killed, goes on where it was when it is started again with the same
    options. Exit status: 0 all parts of this process's share are there, 1 some are missing, 2 the input is unusable.

    \b
    aves-verify corpus run bio --audio recordings --parts PARTS --workers 8
    aves-verify corpus run bio --audio s3://bucket/2024 --parts s3://bucket/parts --shard 3/100
    aves-verify corpus run bio --audio list.csv --parts /shared/parts --scheduler tcp://host:8786
    """
    need("aves-verify corpus", "verify", "corpus")
    from aves_verify.cli.limits import bounds_of, tolerances_of
    from aves_verify.cli.selection import BackendOptions, Selection
    from aves_verify.corpus.windows import Cutting
    from aves_verify.parts.identity import Looking
    from aves_verify.runs.ordering import verified
    from aves_verify.verification.plan import Plan, check_comparable

    cutting = Cutting(window, window if hop is None else hop, shard_windows)
    crew = _crew(shard, workers, scheduler, retries, form, check)
    _tell_of_cores(crew, threads)
    subjects = Selection(**selected).subjects(layers)
    smaller = bool(selected["reduced"] or selected["bundle"])
    named = () if backends is None else tuple(name.strip() for name in backends.split(","))
    plan = Plan(
        backends=named,
        layers=layers,
        tolerances=tolerances_of(atol, rtol),
        bounds=bounds_of(min_snr, min_cosine, has_reduced=smaller),
        options=BackendOptions(onnx_provider, openvino_device, openvino_precision, backend_options).by_backend(named),
    )
    check_comparable(plan)
    whole = True
    for corpus, done in verified(
        subjects,
        plan,
        Looking(cutting, exact_every, worst),
        audio,
        parts,
        crew,
        threads=threads,
        seed=seed,
        reference=reference,
    ):
        _tell(corpus, done, f"aves-verify corpus report --parts {parts}")
        whole = whole and not done.missing
    raise SystemExit(0 if whole else 1)


@corpus.command()
@options.subject
@options.layers
@options.recorded
@corpus_options.cutting
@corpus_options.drivers
def record(
    audio: tuple[str, ...],
    parts: str,
    window: float,
    hop: float | None,
    shard_windows: int,
    threads: int,
    shard: str | None,
    workers: int | None,
    scheduler: str | None,
    retries: int,
    check: bool,
    form: Any,
    layers: Any,
    backend: str,
    **selected: Any,
) -> None:
    """Record the original's outputs on a corpus.

    So that fairseq runs once: later runs with --reference take these parts in its place. Exit status as of run.

    \b
    aves-verify corpus record --fairseq CKPT --audio FOLDER --parts REFERENCE --workers 8
    aves-verify corpus run --bundle DIR --reference REFERENCE --audio FOLDER --parts PARTS
    """
    need("aves-verify corpus", "verify", "corpus")
    from aves_verify.cli.selection import Selection
    from aves_verify.corpus.windows import Cutting
    from aves_verify.runs.ordering import recorded

    cutting = Cutting(window, window if hop is None else hop, shard_windows)
    crew = _crew(shard, workers, scheduler, retries, form, check)
    _tell_of_cores(crew, threads)
    subjects = Selection(**selected).subjects(layers)
    if len(subjects) != 1:
        raise InputError("a recording is of one configuration; give one NAME")
    found = recorded(subjects[0], backend, layers, cutting, audio, parts, crew, threads=threads)
    _tell(*found, f"aves-verify corpus run --reference {parts} …")
    raise SystemExit(0 if not found[1].missing else 1)


@corpus.command()
@corpus_options.reporting
@options.files
def report(
    parts: str,
    only: tuple[str, ...],
    max_unreadable: int,
    folder: Path | None,
    json_file: Path | None,
    junit_file: Path | None,
) -> None:
    """Make one report of a corpus's parts.

    The report is the same whoever made the parts. Exit status: 0 every port computes what the original computes in all
    windows, 1 one does not, or parts are missing, 2 there is nothing to report on.
    """
    need("aves-verify corpus", "verify", "corpus")
    from aves_artifacts.base.console import Output
    from aves_verify.report import files, terminal
    from aves_verify.verdict.verdict import corpus_report

    wanted = files.wanted(folder=folder, json_file=json_file, junit_file=junit_file)
    found = corpus_report(parts, only=only, unreadable=max_unreadable)
    try:  # whoever reads standard output may have gone away, and what was found is kept all the same
        files.write(found, wanted)
    finally:
        terminal.print_report(found, Output(), every_clip=False)
    if any("damaged" in missing for config in found.configs if config.corpus for missing in config.corpus.missing):
        click.echo("Parts that are damaged are made anew with: aves-verify corpus run … --check", err=True)
    incomplete = [config.corpus.run for config in found.configs if config.corpus and config.corpus.missing]
    if incomplete and len(found.configs) > 1:
        say(
            f"{', '.join(incomplete)}: to leave out a run that nobody will finish, name the others with --run, or "
            "remove its list of parts, the file of this name that ends in .json",
            err=True,
        )
    raise SystemExit(0 if found.passed else 1)


def _crew(shard: str | None, workers: int | None, scheduler: str | None, retries: int, form: Any, check: bool) -> Crew:
    from aves_verify.drivers.job import Settings, share_of
    from aves_verify.runs.driving import Crew

    settings = dataclasses.replace(Settings(), retries=retries)
    return Crew(None if shard is None else share_of(shard), workers, scheduler, settings, form, check)


def _tell_of_cores(crew: Crew, threads: int) -> None:
    """Say on a terminal that there are cores that nobody uses: threads would change last digits, workers do not."""
    cores = os.cpu_count() or 1
    if crew.share is None and not crew.is_apart and threads < cores and sys.stderr.isatty():
        click.echo(f"{threads} of {cores} cores used; --workers {cores // threads} uses all", err=True)


def _tell(corpus: Shards, done: Done, next_command: str) -> None:
    """Print what became of a run, and what to do next."""
    click.echo(
        f"{len(corpus.recordings):,} recordings, {corpus.windows:,} windows, {corpus.seconds / 3600:,.2f} h in "
        f"{done.parts:,} parts: {done.made:,} made, {done.there:,} were there"
        + (f", {done.others:,} are left to other shares" if done.others else "")
    )
    numbers = done.numbers
    if numbers.get("windows") and done.seconds:
        click.echo(
            f"{numbers['windows']:,.0f} windows, {numbers['sound'] / 3600:,.2f} h of sound in {done.seconds:,.0f} s: "
            f"{numbers['windows'] / done.seconds:.3g} windows a second"
        )
    told = {name: reason for name, reason in done.missing.items() if reason != done.stopped}
    for name, reason in list(told.items())[:_TOLD]:
        say(f"missing: {name}: {reason}", err=True)
    if len(told) > _TOLD:
        click.echo(f"missing: {len(told) - _TOLD:,} more", err=True)
    if done.stopped:  # the reason of all others that are missing
        raise InputError(done.stopped)
    say(f"next: {next_command}" if not done.missing else "run again to do what is missing")


_TOLD = 20  # missing parts
