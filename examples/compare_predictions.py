"""What the drift of a port means for a classifier: does any prediction change?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from classifier import Outcome, judge, share, train_head
from encoders import SMALLER, Vectors, raise_if_changed
from labelled_clips import LabelledClips


@dataclass(frozen=True)
class Change:
    """What becomes of the classification in one form of the encoder, against fairseq's."""

    form: str
    moved: float  # the largest difference of a number in a clip's vector
    right: int  # clips that a head trained on this form's vectors classifies rightly
    retrained: int  # predictions that are other ones with that head
    exchanged: int  # predictions that are other ones with the head that was trained on fairseq's vectors
    probability: float  # the largest change of a probability, in either case


def compare(vectors: Mapping[str, Vectors], data: LabelledClips, held_out: NDArray[np.bool_]) -> list[Change]:
    """Train and judge a classifier on every form's vectors; the first of ``vectors`` is the original."""
    original = next(iter(vectors.values()))
    first = train_head(original, data, ~held_out)
    reference = judge(first, original, data, held_out)
    changes = []
    for form, own in vectors.items():
        retrained = judge(train_head(own, data, ~held_out), own, data, held_out)
        exchanged = judge(first, own, data, held_out)
        both = np.stack([retrained.probabilities, exchanged.probabilities])
        changes.append(
            Change(
                form,
                moved=float(np.abs(own - original).max()),
                right=retrained.right,
                retrained=_other(retrained, reference),
                exchanged=_other(exchanged, reference),
                probability=float(np.abs(both - reference.probabilities).max()),
            )
        )
    return changes


def _other(outcome: Outcome, reference: Outcome) -> int:
    return int((outcome.chosen != reference.chosen).any(axis=1).sum())


def print_changes(changes: list[Change], clips: int, console: Console) -> None:
    """A line for each form, and what a smaller port costs in words.

    Raises DoesNotHoldError where a prediction of our ports of full size is not fairseq's.
    """
    table = Table(title=f"What a port changes for {clips} held-out clips", title_justify="left", box=None)
    table.add_column("encoder", no_wrap=True)
    for heading in (
        "right",
        "max |diff|\nof vectors",
        "max |diff| of\nprobabilities",
        "changed,\nown head",
        "changed,\nfairseq's head",
    ):
        table.add_column(heading, justify="right")
    for change in changes:
        numbers = (f"{change.moved:.1e}", f"{change.probability:.1e}", str(change.retrained), str(change.exchanged))
        table.add_row(change.form, str(change.right), *(numbers if change is not changes[0] else ()))
    console.print(table)
    for change in changes:
        if change.form in SMALLER:
            console.print(_told(change, clips))
    raise_if_changed(
        {change.form: max(change.retrained, change.exchanged) for change in changes}, f"of {clips} predictions"
    )


def _told(change: Change, clips: int) -> str:
    """What exchanging fairseq for a smaller port does, and training a head on it; with 95 % intervals."""
    changed, right = share(change.exchanged, clips), share(change.right, clips)
    return (
        f"{change.form}: {change.exchanged} of {clips} predictions change under fairseq's head: {changed}; "
        f"with a head of its own {change.right} are right: {right}"
    )
