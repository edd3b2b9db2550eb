"""Which sounds are alike? A map of clips that are seen and heard, and the clusters among them.

    uv run --group examples python examples/cluster.py
    uv run --group examples python examples/cluster.py --checkpoint aves-base-bio.pt --data recordings/
    uv run --extra fairseq --group examples python examples/cluster.py --compare

Embeddings are averaged over time. HDBSCAN seeks clusters in them, without being told the labels, and t-SNE or UMAP lays
them out in two dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from aves_artifacts import InputError
from aves_verify import Clip
from clusters import Clusters, Projection, cluster, nearest, project
from compare_clusters import compare, print_changes
from console import ANY_PATH, FOLDER, Command, printable, progress, status
from encoders import FORMS, SMALLER, embed, embed_all, ports_of
from labelled_clips import read_unlabelled, synthesised
from sound_map import SoundMap, draw, to_html

FEWEST = 10  # clips; fewer make no map


def agreement(clusters: Clusters, labels: Sequence[str]) -> str:
    """How well clusters and labels agree, where clips have labels: 1 for the same groups, 0 for chance."""
    from sklearn.metrics import adjusted_rand_score

    if len(set(labels)) < 2:
        return ""
    return f"; adjusted Rand index with the labels {adjusted_rand_score(labels, clusters):.2f}"


def read(data: Path | None) -> tuple[Sequence[Clip], Sequence[str]]:
    """The clips with their labels: a folder's, named by their subfolders, or the synthesised set. InputError."""
    if data is None:
        made = synthesised(of_each=24, variety=0.15)  # one caller of each kind, recorded at one place
        return made.clips, made.names(made.truth)
    clips, labels, unusable = read_unlabelled(data)
    for problem in unusable:
        click.echo(printable(f"left out: {problem}"), err=True)
    if len(clips) < FEWEST:
        raise InputError(f"{data}: {len(clips)} usable clips; expected {FEWEST} or more")
    return clips, labels


@click.command(cls=Command)
@click.option("--checkpoint", type=ANY_PATH, metavar="PT", help="fairseq's checkpoint; by default a stand-in.")
@click.option("--data", type=FOLDER, metavar="DIR", help="Recordings; subfolders are shown as labels.")
@click.option("--encoder", "form", type=click.Choice(FORMS[:3]), default="torchaudio", show_default=True)
@click.option("--projection", type=click.Choice(["tsne", "umap"]), default="tsne", show_default=True)
@click.option("--smallest", type=click.IntRange(2), default=6, show_default=True, help="Clips of a cluster, at least.")
@click.option("--compare", "comparing", is_flag=True, help="The same on fairseq, all ports and the ordinary export.")
@click.option("--out", type=FOLDER, default=Path("clustered"), show_default=True, metavar="DIR")
def main(
    checkpoint: Path | None,
    data: Path | None,
    form: str,
    projection: Projection,
    smallest: int,
    comparing: bool,
    out: Path,
) -> None:
    """Map clips by an encoder's embeddings, seek clusters, and write a picture and a page to look at and listen to."""
    clips, labels = read(data)
    with ports_of(checkpoint, SMALLER if comparing else ()) as ports:
        vectors = embed_all(ports, clips) if comparing else {form: embed(form, ports, clips)}
    first = next(iter(vectors.values()))
    with status(f"laying out with {projection}"):
        points, clusters = project(first, projection), cluster(first, smallest)
    found = len(set(clusters.tolist()) - {-1})
    title = f"{len(clips)} clips in {found} clusters{agreement(clusters, labels)}"
    axes = {"umap": "UMAP", "tsne": "t-SNE"}[projection]
    sounds = SoundMap(clips, labels, points, clusters, nearest(first), axes, title)
    picture, page = out / "map.png", out / "map.html"
    out.mkdir(parents=True, exist_ok=True)
    draw(sounds, picture)
    page.write_text(to_html(sounds, progress(clips, len(clips), "drawing")), encoding="utf-8")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{title}\nwritten: {picture}, {page} ({page.stat().st_size / 1e6:.1f} MB)")
    if comparing:
        print_changes(compare(vectors, smallest), len(clips), console)


if __name__ == "__main__":
    main()
