"""What the drift of a port means for a map of sounds: does any neighbour or cluster change?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from clusters import Clusters, cluster, nearest
from encoders import Vectors, raise_if_changed


@dataclass(frozen=True)
class Change:
    """What becomes of neighbours and clusters in one form of the encoder, against fairseq's."""

    form: str
    moved: float  # the largest difference of a number in a clip's vector
    neighbours: int  # clips whose nearest clips are other ones
    mates: int  # clips that share their cluster with other clips


def compare(vectors: Mapping[str, Vectors], smallest: int) -> list[Change]:
    """Seek neighbours and clusters by every form's vectors; the first of ``vectors`` is the original."""
    original = next(iter(vectors.values()))
    around, mates = nearest(original), _mates(cluster(original, smallest))
    return [
        Change(
            form,
            moved=float(np.abs(own - original).max()),
            neighbours=int((nearest(own) != around).any(axis=1).sum()),
            mates=int((_mates(cluster(own, smallest)) != mates).any(axis=1).sum()),
        )
        for form, own in vectors.items()
    ]


def _mates(clusters: Clusters) -> NDArray[np.bool_]:
    """Which clips share a cluster [clips, clips]: the clusters' numbers mean nothing. Clips in none are together."""
    same: NDArray[np.bool_] = clusters[:, None] == clusters[None]
    return same


def print_changes(changes: list[Change], clips: int, console: Console) -> None:
    """A line for each form.

    Raises DoesNotHoldError where our ports of full size have other neighbours or clusters than fairseq.
    """
    table = Table(title=f"What a port changes for {clips} clips", title_justify="left", box=None)
    table.add_column("encoder", no_wrap=True)
    for heading in ("max |diff|\nof vectors", "clips with other\nneighbours", "clips with other\ncluster mates"):
        table.add_column(heading, justify="right")
    for change in changes:
        numbers = (f"{change.moved:.1e}", str(change.neighbours), str(change.mates))
        table.add_row(change.form, *(numbers if change is not changes[0] else ()))
    console.print(table)
    raise_if_changed(
        {change.form: max(change.neighbours, change.mates) for change in changes},
        f"of {clips} clips' neighbours or clusters",
    )
