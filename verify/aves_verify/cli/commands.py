"""The commands of aves-verify."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from aves_artifacts.base import options as shared
from aves_artifacts.base.command_line import Group
from aves_artifacts.base.errors import InputError
from aves_artifacts.base.extras import need
from aves_artifacts.base.options import path_type
from aves_artifacts.base.progress import showing
from aves_verify.cli import options
from aves_verify.cli.corpus import corpus


class _DefaultCommand(Group):
    """A group in which ``aves-verify bio`` means ``aves-verify run bio``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command's name in front where no command is named."""
        named = args and (args[0] in self.commands or args[0] in ("--help", "--version"))
        return super().parse_args(ctx, args if named else ["run", *args])

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The default command's help is the help that everybody looks for."""
        command = self.commands["run"]
        with click.Context(command, info_name=ctx.info_name) as inner:
            command.format_help(inner, formatter)


@click.group(cls=_DefaultCommand)
@click.version_option(package_name="aves-ports")
def main() -> None:
    """Check that converted encoders compute what the original computes."""


main.add_command(corpus)


@main.command(name="run", hidden=True)
@options.selection
@options.which
@options.reference
@options.backends
@options.how
@options.report
def run(
    audio: tuple[Path, ...],
    backends: str | None,
    layers: Any,
    atol: float | None,
    rtol: float | None,
    min_snr: float | None,
    min_cosine: float | None,
    explain: bool,
    characterise: bool,
    seed: int | None,
    folder: Path | None,
    attach: bool,
    json_file: Path | None,
    junit_file: Path | None,
    verbose: bool,
    onnx_provider: str | None,
    openvino_device: str | None,
    openvino_precision: str | None,
    backend_options: tuple[str, ...],
    **selected: Any,
) -> None:
    """Check that converted encoders (ports) compute what the original computes.

    Both are run on the same sounds and their outputs compared. NAME is a configuration of the catalogue (core, bio,
    nonbio, all) or the path of a checkpoint. Exit status: 0 every
    port computes what the original computes, 1 one does not, 2 the input is unusable.

    \b
    aves-verify --all-configs --stand-in              four configurations, seeded weights
    aves-verify bio --download --ports published      the authors' own ports, fetched with the original
    aves-verify --bundle DIR --fairseq CKPT --attach  a bundle and its checkpoint; keep the report in the bundle
    aves-verify --bundle DIR --transformers FOLDER    a bundle that was made from a HubertModel folder
    aves-verify --fairseq CKPT --torchaudio W --config JSON --onnx F     loose files
    aves-verify --fairseq CKPT --reduced F --backends fairseq,onnx.int8  a smaller graph
    aves-verify record --fairseq CKPT --out REF       keep the original's outputs, for --reference REF
    aves-verify diff A.json B.json                    what changed between two reports
    aves-verify doctor                                what is installed, and what does not fit together
    aves-verify release --to URL                      convert, verify and publish in one run
    aves-verify corpus run --audio PATH-OR-URL …      on whole corpora, by many machines

    Each of the last five has a --help of its own.
    """
    need("aves-verify", "verify")
    from aves_artifacts.base.console import Output
    from aves_artifacts.bundle.attach import attach_report
    from aves_convert.sounds.audio import read_clips
    from aves_verify.cli.limits import bounds_of, is_looser, tolerances_of
    from aves_verify.cli.selection import BackendOptions, Selection
    from aves_verify.comparison.reduced import BOUNDS
    from aves_verify.report import files, terminal
    from aves_verify.report.json_report import to_json
    from aves_verify.verification.plan import Plan, check_comparable
    from aves_verify.verification.progress import step_bars
    from aves_verify.verification.run import unfinished, verify_all

    original = selected["fairseq"] or selected["transformers"]
    if attach and (selected["bundle"] is None or original is None or atol is not None or rtol is not None):
        raise InputError("--attach goes with --bundle DIR --fairseq CKPT, and with the tolerances as they are")
    bounds = bounds_of(min_snr, min_cosine, has_reduced=bool(selected["reduced"] or selected["bundle"]))
    if attach and any(is_looser(bounds[port], BOUNDS[port]) for port in bounds):
        raise InputError("--attach goes with bounds that ask for no less than the default ones")
    subjects = Selection(**selected).subjects(layers)
    clips, unreadable = read_clips(audio) if audio else (None, ())
    named = () if backends is None else tuple(name.strip() for name in backends.split(","))
    plan = Plan(
        clips=clips,
        backends=named,
        layers=layers,
        tolerances=tolerances_of(atol, rtol),
        bounds=bounds,
        explain=explain,
        characterise=characterise,
        options=BackendOptions(onnx_provider, openvino_device, openvino_precision, backend_options).by_backend(named),
    )
    plan = plan if seed is None else dataclasses.replace(plan, seed=seed)
    check_comparable(plan)
    wanted = files.wanted(folder=folder, json_file=json_file, junit_file=junit_file)  # before the work, not after it
    files.replace_earlier(unfinished(subjects, plan), wanted)
    with step_bars(len(subjects)) as progress:
        found = verify_all(subjects, plan, unreadable, progress)
    report = found.report
    try:  # whoever reads standard output may have gone away, and what was found is kept all the same
        files.write(report, wanted)  # of a stopped run too: a report of an earlier one must not stand for this one
        if attach and found.error is None:
            attach_report(selected["bundle"], to_json(report).encode())
    finally:
        if found.error is None or found.compared:
            terminal.print_report(report, Output(), every_clip=verbose)
    if found.error is not None:
        raise found.error
    raise SystemExit(0 if report.passed else 1)


@main.command()
@options.selection
@options.recorded
@shared.out("REF", "the recording", "-o")
@shared.force
def record(audio: tuple[Path, ...], layers: Any, backend: str, out: Path, force: bool, **selected: Any) -> None:
    """Record the original's outputs in a file.

    Ports can be compared with them where fairseq cannot be installed. REF holds outputs, hashes of the audio and of the
    weights, and nothing that could run. Use it with --reference REF.
    """
    need("aves-verify record", "verify")
    from aves_artifacts.files.writing import staged
    from aves_convert.sounds.audio import read_clips
    from aves_verify.cli.selection import Selection
    from aves_verify.verification.recording import make_recording

    subjects = Selection(**selected).subjects(layers)
    if len(subjects) != 1:
        raise InputError("a recording is of one configuration; give one NAME")
    clips, unreadable = read_clips(audio) if audio else (None, ())
    if unreadable:
        raise InputError(f"{unreadable[0]}; nothing was recorded")
    with (
        staged(out.parent, [out.name], force=force) as staging,
        showing(f"recording {backend}"),
        subjects[0].files as subject,
    ):
        made = make_recording(subject, backend, clips, staging / out.name, layers=layers)
    click.echo(f"{out}  {out.stat().st_size / 1e6:.1f} MB, {backend} {made.version} on {len(made.names)} inputs")


@main.command()
@click.argument("before", type=path_type())
@click.argument("after", type=path_type())
@click.option(
    "--factor",
    type=click.FloatRange(1),
    metavar="X",
    default=2.0,
    show_default=True,
    help="Tell of differences and errors that grew or shrank by more than this factor.",
)
@shared.as_json
def diff(before: Path, after: Path, factor: float, as_json: bool) -> None:
    """Tell what changed between two reports.

    BEFORE and AFTER are files that aves-verify --json wrote, or report.json of --report and of a bundle.
    Exit status: 0 whatever passed still passes, 1 something does not or is gone, 2 a file is no report.
    """
    from aves_artifacts.base.console import Output
    from aves_artifacts.bundle.report_document import read_report
    from aves_verify.report.difference import differences
    from aves_verify.report.difference_text import changes_as_json, print_changes
    from aves_verify.report.naming import pair_for_people

    old, new = read_report(before), read_report(after)
    changes = differences(old, new, factor)
    if as_json:
        click.echo(changes_as_json(changes), nl=False)
    else:
        print_changes(differences(*pair_for_people(old, new), factor), Output())
    raise SystemExit(1 if any(change.worse for change in changes) else 0)


@main.command()
@shared.as_json
def doctor(as_json: bool) -> None:
    """Tell what is installed and what does not fit together.

    Of each thing that is wrong it names the command that mends it.
    Exit status: 0 what is installed works, whether or not extras are missing, 1 something is broken.
    """
    from aves_verify.doctor.diagnose import diagnose
    from aves_verify.doctor.facts import gather
    from aves_verify.doctor.text import as_document, lines

    with showing("trying imports"):
        facts = gather()
    findings = diagnose(facts)
    click.echo(as_document(facts, findings) if as_json else "\n".join(lines(facts, findings)))
    raise SystemExit(1 if any(finding.level == "broken" for finding in findings) else 0)


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--to",
    "url",
    required=True,
    metavar="URL",
    help="The address to publish at: file://, s3://, gs:// or any other that fsspec knows.",
)
@shared.release_version
@shared.stand_in(options.STAND_IN_RELEASE)
@shared.more_ports
@click.option(
    "--work",
    type=path_type(folder=True),
    metavar="DIR",
    help="The folder in which checkpoints and bundles are kept for the next run.  [default: release in the store]",
)
@shared.sign_key
@shared.dry_run
def release(
    names: tuple[str, ...],
    url: str,
    version: str | None,
    stand_in: bool,
    also: tuple[str, ...],
    work: Path | None,
    sign_key: Path | None,
    dry_run: bool,
) -> None:
    """Convert, verify and publish encoders in one run.

    Checkpoints are fetched or taken from their paths, and published with their ports as one release. NAME is a
    configuration of the catalogue or the path of a checkpoint; without one, all that have an original are released.
    What an earlier run left and what still checks is kept. Exit status: 0 it is published, 1 an encoder may not be, 2
    the input or the address is unusable.
    """
    need("aves-verify release", "verify", "release")
    from aves_artifacts.base.console import Output
    from aves_artifacts.configurations.store import store
    from aves_artifacts.release.provenance import read_signer
    from aves_artifacts.release.staging import usable_version
    from aves_verify.release_pipeline.journal import Journal, Order
    from aves_verify.release_pipeline.pipeline import run_release
    from aves_verify.release_pipeline.summary import print_outcome, print_steps

    version = usable_version(version)
    order = Order(names, url, version, work or store() / "release", stand_in, also)
    signer = read_signer(sign_key) if sign_key else None
    console, journal = Output(), Journal()
    try:
        outcome = run_release(order, journal, signer, dry_run=dry_run)
    finally:
        print_steps(journal.steps, console)  # also of a run that ends before its end
    print_outcome(outcome, journal.steps, console)
