"""aves-verify: does the port compute what the original computes?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aves_artifacts.catalog import catalog
from aves_artifacts.command_line import Group, existing
from aves_artifacts.errors import InputError

if TYPE_CHECKING:
    from aves_verify.subject import Subject
    from aves_verify.verification import Progress


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
    """Does the port compute what the original computes?"""


@main.command(name="run", hidden=True)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all-configs", is_flag=True, help="Every configuration of the catalogue.")
@click.option("--stand-in", is_flag=True, help="Seeded weights in the place of the published ones (no download).")
@click.option("--bundle", type=existing(folder=True), metavar="DIR", help="A bundle that aves-convert wrote.")
@click.option("--fairseq", type=existing(), metavar="CKPT", help="The original checkpoint.")
@click.option(
    "--pretrained",
    type=existing(),
    metavar="CKPT",
    help="What a fine-tuned original was made from, where it lacks that one's config.",
)
@click.option("--torchaudio", type=existing(), metavar="WEIGHTS", help="TorchAudio weights; needs --config.")
@click.option("--config", type=existing(), metavar="JSON", help="The model_config.json of --torchaudio.")
@click.option("--onnx", type=existing(), metavar="FILE", help="An ONNX port.")
@click.option(
    "--audio",
    type=existing(),
    multiple=True,
    metavar="PATH",
    help="Files or folders, instead of the synthesised signals.",
)
@click.option(
    "--backends",
    default="fairseq,torchaudio,onnx",
    show_default=True,
    help="What to run. The reference is fairseq, else torchaudio.",
)
@click.option(
    "--layers",
    type=click.Choice(["last", "all"]),
    default="last",
    show_default=True,
    help="Compare the last layer, or each.",
)
@click.option("--atol", type=click.FloatRange(0), help="Absolute tolerance, instead of the default.")
@click.option("--rtol", type=click.FloatRange(0), help="Relative tolerance, instead of the default.")
@click.option("--json", "json_file", type=existing(), metavar="FILE", help="Write the report as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Show every clip.")
def run(
    names: tuple[str, ...],
    all_configs: bool,
    stand_in: bool,
    bundle: Path | None,
    fairseq: Path | None,
    pretrained: Path | None,
    torchaudio: Path | None,
    config: Path | None,
    onnx: Path | None,
    audio: tuple[Path, ...],
    backends: str,
    layers: Any,
    json_file: Path | None,
    verbose: bool,
    **tolerances: float | None,
) -> None:
    """Compare ports with the original on reference signals.

    NAME is a configuration of the catalogue (core, bio, nonbio, all). Exit status: 0 every port computes what the
    original computes, 1 one does not, 2 the input is unusable.

    \b
    aves-verify --all-configs --stand-in              four configurations, seeded weights
    aves-verify --bundle DIR --fairseq CKPT           a bundle and the checkpoint it was made from
    aves-verify --fairseq CKPT --torchaudio W --config JSON --onnx F     loose files
    """
    from rich.console import Console

    from aves_artifacts.atomic import check_writable, replacing
    from aves_verify.audio import read_clips
    from aves_verify.compare import TOLERANCES
    from aves_verify.report import json_report, terminal
    from aves_verify.run import verify_all
    from aves_verify.verification import Plan

    files = {"fairseq": fairseq, "pretrained": pretrained, "torchaudio": torchaudio, "config": config, "onnx": onnx}
    subjects = _subjects(names, all_configs, stand_in, bundle, files, layers)
    clips, unreadable = read_clips(audio) if audio else (None, ())
    overrides = {name: value for name, value in tolerances.items() if value is not None}
    plan = Plan(
        clips=clips,
        backends=tuple(name.strip() for name in backends.split(",")),
        layers=layers,
        tolerances={name: dataclasses.replace(default, **overrides) for name, default in TOLERANCES.items()},
    )
    if json_file is not None:
        check_writable(json_file)  # before the work, not after it
    with _progress(len(subjects)) as progress:
        report = verify_all(subjects, plan, unreadable, progress)
    terminal.print_report(report, Console(), every_clip=verbose)
    if json_file is not None:
        with replacing(json_file) as temporary:
            temporary.write_text(json_report.to_json(report), encoding="utf-8")
    raise SystemExit(0 if report.passed else 1)


def _subjects(
    names: Sequence[str],
    all_configs: bool,
    stand_in: bool,
    bundle: Path | None,
    files: dict[str, Path | None],
    layers: Any,
) -> list[AbstractContextManager[Subject]]:
    """What the command line asks for, one of: names of the catalogue, a bundle, loose files. Raises InputError."""
    from aves_artifacts.catalog import configurations
    from aves_verify import subject

    if files["pretrained"] is not None and files["fairseq"] is None:
        raise InputError("--pretrained goes with --fairseq: it completes the original's settings")
    given = [bool(names) or all_configs, bundle is not None, any(files[k] for k in ("torchaudio", "config", "onnx"))]
    if sum(given) != 1:
        raise InputError(
            "expected one of: NAME… or --all-configs; --bundle DIR; --fairseq, --torchaudio with --config, --onnx. "
            "Start with: aves-verify --all-configs --stand-in"
        )
    if stand_in and not given[0]:
        raise InputError("--stand-in goes with NAME… or --all-configs")
    if given[0]:
        if any(files.values()):
            raise InputError("NAME… or --all-configs take no files; for files leave the names out")
        chosen = configurations(list(catalog()) if all_configs else names)
        if stand_in:
            return [subject.stand_in(configuration, layers=layers) for configuration in chosen]
        return [nullcontext(subject.published(configuration)) for configuration in chosen]
    if bundle is not None:
        if any(files[k] for k in ("torchaudio", "config", "onnx")):
            raise InputError("--bundle goes with --fairseq and --pretrained alone; for other files leave --bundle out")
        found = subject.of_bundle(bundle, files["fairseq"])
    else:
        found = subject.of_files(files["fairseq"], files["torchaudio"], files["config"], files["onnx"])
    return [nullcontext(dataclasses.replace(found, pretrained=files["pretrained"]))]


@contextmanager
def _progress(subjects: int) -> Iterator[Progress]:
    """A bar on a terminal; nothing in a pipe."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        overall = bars.add_task("configurations", total=subjects)
        current = bars.add_task("", total=None)

        def show(step: str, done: int, total: int) -> None:
            bars.update(current, description=step, completed=done, total=total)
            if done == total:
                bars.advance(overall)

        yield show
