"""Embed a whole corpus by a port that was verified: on a laptop, as an array job, or on a cluster.

    uv run --group examples python examples/embed.py --bundle ports --audio recordings --out embeddings --workers 4
    python examples/embed.py --bundle ports --audio s3://bucket/2024 --out s3://bucket/embeddings --shard 3/100
    python examples/embed.py --bundle ports --audio list.csv --out /shared/embeddings --scheduler tcp://host:8786

Recordings are cut into windows, and these into shards; each becomes one file, the same bytes whoever makes it. What is
there already is not made again: a run that was stopped goes on when it is started again. Exit status: 0 all files of
this process's share are there, 1 some are missing, 2 the input is unusable. A recording that cannot be read is a row
with the reason, and does not change the status.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from aves_artifacts import Bundle, InputError, check_bundle, read_bundle
from aves_verify import Crew, Cutting, make_parts, of_bundle
from console import FOLDER, Command, printable
from embedding_parts import ENDINGS, SCHEMA, Form
from embeddings import POOLS, EmbedRecipe, Pool, Wanted

COMPUTING = ("aves-ports", "torch", "torchaudio", "onnxruntime", "openvino", "transformers", "numpy")
MOST_TOLD = 20  # missing parts
WITHOUT_GRAPH = ("torchaudio", "transformers")
SHARE = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})")


def check_verified(folder: Path, backend: str) -> None:
    """Raise InputError where the bundle is not whole, or holds no report that its port by this backend passed."""
    way = f"verify it with: aves-verify --bundle {folder} --fairseq CKPT --attach; or give --unverified"
    checked = check_bundle(folder)
    if checked.problems:
        first, more = checked.problems[0], len(checked.problems) - 1
        raise InputError(f"{folder / first.file} {first.problem}{f', and {more} more problems' if more else ''}; {way}")
    if not checked.verified:
        raise InputError(f"{folder}: holds no report of aves-verify, and nobody knows whether its port is right; {way}")
    (config,) = json.loads((folder / "report.json").read_bytes())["configs"]
    compared = {comparison["backend"] for comparison in config["comparisons"]}
    if backend not in compared:
        there = ", ".join(sorted(compared))
        raise InputError(f"{folder}: its report compares {there}, and not {backend}; {way}")


def recipe_of(bundle: Bundle, wanted: Wanted, cutting: Cutting, threads: int, form: Form) -> EmbedRecipe:
    """How the shards are embedded. Raises InputError for windows that the port does not take."""
    manifest = bundle.manifest
    files_of = wanted.plan.needs(of_bundle(bundle.folder))
    shortest, graph = manifest.encoder.receptive_field, manifest.graph
    if (role := re.sub("[.-]", "_", wanted.backend)) in manifest.reduced:
        graph = next(record for name, record in manifest.reduced.items() if name == role)
    if wanted.backend not in WITHOUT_GRAPH and graph is not None and graph.fixed_shape is not None:
        shortest = graph.fixed_shape[1]
        if cutting.window_samples != shortest:
            seconds = shortest / manifest.encoder.sample_rate
            raise InputError(f"{bundle.folder}: this graph takes {shortest} samples alone; give --window {seconds:g}")
    if cutting.window_samples < shortest:
        seconds = shortest / manifest.encoder.sample_rate
        raise InputError(f"a window of {cutting.window:g} s gives no frame; give --window from {seconds:g} on")
    about = {
        "model": manifest.name,
        "checkpoint": manifest.source.sha256,
        "files": dict(sorted((name, record.sha256) for name, record in manifest.files.items() if name != "card")),
        "stand_in": manifest.source.stand_in,
        **{f"encoder_{name}": value for name, value in sorted(dataclasses.asdict(manifest.encoder).items())},
    }
    return EmbedRecipe(files_of, wanted, cutting, threads, form, shortest, about)


def crew_of(shard: str | None, workers: int | None, scheduler: str | None, retries: int, progress: Any) -> Crew:
    """Who does the work. Raises InputError for a share that is none, and for several ways to share."""
    share = None
    if shard is not None:
        found = SHARE.fullmatch(shard)
        if found is None or int(found[1]) > int(found[2]):
            raise InputError(f"--shard {printable(shard)}: expected I/N with I from 1 to N, such as 1/4")
        share = int(found[1]), int(found[2])
    return Crew(share, workers, scheduler, dataclasses.replace(Crew().settings, retries=retries), progress)


def versions() -> list[str]:
    """The versions of what decides the last digits."""
    installed = {name.lower(): name for each in metadata.distributions() if (name := each.metadata["Name"])}
    return [f"{name} {metadata.version(name)}" for name in COMPUTING if name in installed]


@click.command(cls=Command)
@click.option("--bundle", type=FOLDER, required=True, metavar="DIR", help="What aves-convert bundle wrote, verified.")
@click.option("--audio", multiple=True, required=True, metavar="PATH-OR-URL", help="Recordings: files, folders, lists.")
@click.option("--out", required=True, metavar="DIR-OR-URL", help="Where the embeddings go: a folder, or an address.")
@click.option("--backend", default="onnx", show_default=True, metavar="NAME", help="onnx, torchaudio, onnx.int8, …")
@click.option("--output", default="embeddings", show_default=True, metavar="NAME", help="Or layer.8, layer.5.units, …")
@click.option("--pool", type=click.Choice([*POOLS]), default="mean", show_default=True, help="Of frames; none: all.")
@click.option("--format", "form", type=click.Choice([*ENDINGS]), default="parquet", show_default=True)
@click.option("--window", type=float, default=10.0, show_default=True, metavar="S", help="Seconds of a window.")
@click.option("--hop", type=float, metavar="S", help="Seconds between beginnings of windows; by default a window.")
@click.option("--shard-windows", type=int, default=32, show_default=True, metavar="N", help="Of one file, about.")
@click.option("--shard", metavar="I/N", help="Do the I-th of N shares, such as one of an array job.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="So many processes of this machine.")
@click.option("--scheduler", metavar="ADDRESS", help="The workers of a Dask cluster, such as tcp://host:8786.")
@click.option(
    "--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="They decide the last digits."
)
@click.option("--retries", type=click.IntRange(0, 100), default=3, show_default=True, help="Of a shard that fails.")
@click.option("--progress", type=click.Choice(["auto", "bar", "json", "none"]), default="auto", show_default=True)
@click.option("--unverified", is_flag=True, help="Take a bundle whose port nobody has verified, too.")
def main(
    bundle: Path,
    audio: tuple[str, ...],
    out: str,
    backend: str,
    output: str,
    pool: Pool,
    form: Form,
    window: float,
    hop: float | None,
    shard_windows: int,
    shard: str | None,
    workers: int | None,
    scheduler: str | None,
    threads: int,
    retries: int,
    progress: str,
    unverified: bool,
) -> None:
    """Embed a corpus by a port that was verified, into files that are made once, by whoever."""
    if form == "zarr" and importlib.util.find_spec("zarr") is None:
        raise InputError("--format zarr needs zarr 3, not installed here: Python 3.11 or later, and --group examples")
    crew = crew_of(shard, workers, scheduler, retries, progress)
    cutting = Cutting(window, window if hop is None else hop, shard_windows)
    wanted = Wanted(backend, output, pool)
    recipe = recipe_of(read_bundle(bundle), wanted, cutting, threads, form)
    if not unverified:
        check_verified(bundle, backend)
    settings = [SCHEMA, recipe.about, versions()]
    done = make_parts(
        recipe, audio, out, cutting=cutting, crew=crew, threads=threads, settings=settings, ending=ENDINGS[form]
    )
    tell(done, out)
    raise SystemExit(1 if done.missing else 0)


def tell(done: Any, out: str) -> None:
    """Print what became of a run. Raises InputError where something ended it."""
    left = f", {done.others:,} are left to other shares" if done.others else ""
    click.echo(f"{done.parts:,} parts: {done.made:,} made, {done.there:,} were there{left}")
    numbers = done.numbers
    if numbers.get("windows") and done.seconds:
        sound, pace = f"{numbers['sound'] / 3600:,.2f} h of sound", numbers["windows"] / done.seconds
        click.echo(f"{numbers['windows']:,.0f} windows, {sound} in {done.seconds:,.0f} s: {pace:.3g} windows a second")
    if unreadable := numbers.get("unreadable"):
        click.echo(f"left out: {unreadable:,.0f} recordings; the parts hold the reasons", err=True)
    for name, reason in list(done.missing.items())[:MOST_TOLD]:
        click.echo(printable(f"missing: {name}: {reason}"), err=True)
    if len(done.missing) > MOST_TOLD:
        click.echo(f"missing: {len(done.missing) - MOST_TOLD:,} more", err=True)
    if done.stopped:
        raise InputError(done.stopped)
    click.echo(
        "run again to do what is missing" if done.missing else f"list of the parts: {out.rstrip('/')}/{done.listing}"
    )


if __name__ == "__main__":
    main()
