"""Which call is it? A classifier on top of the encoder, as the authors of AVES describe it.

    uv run --group examples python examples/classify.py
    uv run --group examples python examples/classify.py --checkpoint aves-base-bio.pt --data recordings/
    uv run --extra fairseq --group examples python examples/classify.py --compare

The encoder's output is averaged over time, and one linear layer gives the labels. By default the encoder stays as it is
and only that layer is trained; --train-encoder trains the transformer too, and never the convolutions before it. Labels
that exclude each other are trained with cross-entropy, others with binary cross-entropy.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from matplotlib import rc_context
from numpy.typing import NDArray
from rich.console import Console
from safetensors.numpy import save_file

from aves_artifacts import InputError
from classifier import Head, Outcome, judge, train_encoder, train_head
from compare_predictions import compare, print_changes
from console import ANY_PATH, FOLDER, Command, printable
from encoders import FORMS, SMALLER, Ports, embed, embed_all, embed_with, load_torchaudio, ports_of
from labelled_clips import LabelledClips, read_labelled, synthesised

HELD_OUT = 0.3  # of the clips; the classifier is judged by them and never sees them before
SPLITS = 100  # that are tried for clips with several labels
FEWEST = 4  # clips of a label: with less there is nothing to learn from, or nothing to judge by


def split(data: LabelledClips) -> NDArray[np.bool_]:
    """Which clips are held out [clips]: of each label about the same share. Raises InputError for too few."""
    from sklearn.model_selection import train_test_split

    if len(data.labels) < 2:
        raise InputError(f"one label is nothing to choose from: {', '.join(data.labels) or 'none'}; give two or more")
    counts = data.truth.sum(axis=0)
    if counts.min() < FEWEST:
        raise InputError(
            f"label {data.labels[counts.argmin()]!r} has {counts.min()} usable clips; expected {FEWEST} or more"
        )
    everything = np.arange(len(data.clips))

    def draw(seed: int, stratify: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
        _, held_out = train_test_split(everything, test_size=HELD_OUT, random_state=seed, stratify=stratify)
        return np.isin(everything, held_out)

    def unfairness(mask: NDArray[np.bool_]) -> float:
        return float(np.abs(data.truth[mask].sum(axis=0) / counts - HELD_OUT).max())

    if data.one_label_each:
        return draw(0, data.truth.argmax(axis=1))
    return min((draw(seed) for seed in range(SPLITS)), key=unfairness)  # several labels cannot be stratified exactly


@rc_context({"text.parse_math": False})  # a label may be called $x$
def draw_confusion(outcome: Outcome, path: Path) -> None:
    """Write the confusion matrix; where a clip may have several labels, one for each label."""
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix, multilabel_confusion_matrix

    truth, chosen = outcome.data.truth, outcome.chosen
    labels = [printable(label) for label in outcome.data.labels]
    if outcome.data.one_label_each:
        matrices = [confusion_matrix(truth.argmax(axis=1), chosen.argmax(axis=1), labels=range(len(labels)))]
        titles, ticks = [""], labels
    else:
        matrices, titles, ticks = list(multilabel_confusion_matrix(truth, chosen)), labels, ["not heard", "heard"]
    columns = min(3, len(matrices))
    rows = -(-len(matrices) // columns)
    size = max(2.6, 1.6 + 0.6 * len(ticks))
    figure = Figure(figsize=(max(columns * size, 5.5), rows * size + 0.8), layout="constrained")
    for matrix, title, axes in zip(matrices, titles, figure.subplots(rows, columns, squeeze=False).flat, strict=False):
        ConfusionMatrixDisplay(matrix, display_labels=ticks).plot(
            ax=axes, cmap="Blues", colorbar=False, xticks_rotation=30 if len(ticks) > 2 else 0
        )
        axes.set(title=title, xlabel="classified as", ylabel="is")
    for axes in figure.axes[len(matrices) :]:
        axes.remove()
    figure.suptitle(str(outcome).replace(": ", "\n", 1), fontsize=11)
    figure.savefig(path, format="png", dpi=150)


def write_predictions(outcome: Outcome, path: Path) -> None:
    """A row for each held-out clip: what it is, what it was classified as, and how probable each label is."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["clip", "is", "classified as", *outcome.data.labels])
        names = (outcome.data.names(labels) for labels in (outcome.data.truth, outcome.chosen))
        for clip, truth, chosen, row in zip(outcome.data.clips, *names, outcome.probabilities, strict=True):
            table.writerow([clip.name, truth, chosen, *(f"{probability:.4f}" for probability in row)])


def write_head(head: Head, labels: Sequence[str], ports: Ports, path: Path) -> None:
    """Write the linear layer: ``mean embedding @ weight.T + bias`` gives a number for each label named in the file."""
    about = {
        "labels": json.dumps(labels),
        "activation": "softmax" if head.one_label_each else "sigmoid",
        "trained_on": f"fairseq checkpoint with SHA-256 {ports.bundle.manifest.source.sha256}",
    }
    save_file({"weight": head.weight.float().numpy(), "bias": head.bias.float().numpy()}, path, metadata=about)


def write_encoder(encoder: torch.nn.Module, ports: Ports, out: Path) -> None:
    """Write the trained encoder as TorchAudio weights with their config; torchaudio2onnx makes a graph of them."""
    torch.save(encoder.state_dict(), out / "encoder.torchaudio.pt")
    shutil.copy(ports.bundle.path("config"), out / "encoder.torchaudio.model_config.json")


@click.command(cls=Command)
@click.option("--checkpoint", type=ANY_PATH, metavar="PT", help="fairseq's checkpoint; by default a stand-in.")
@click.option("--data", type=ANY_PATH, metavar="PATH", help="A folder with one subfolder per label, or a CSV table.")
@click.option("--encoder", "form", type=click.Choice(FORMS[:3]), default="torchaudio", show_default=True)
@click.option("--train-encoder", "epochs", type=click.IntRange(1), metavar="EPOCHS", help="Train the transformer too.")
@click.option("--compare", "comparing", is_flag=True, help="The same on fairseq, all ports and the ordinary export.")
@click.option("--out", type=FOLDER, default=Path("classified"), show_default=True, metavar="DIR")
def main(checkpoint: Path | None, data: Path | None, form: str, epochs: int | None, comparing: bool, out: Path) -> None:
    """Train a classifier of animal calls on an encoder's embeddings, and judge it by clips that it has not heard."""
    if epochs and (comparing or form != "torchaudio"):
        raise InputError("--train-encoder goes with --encoder torchaudio, and without --compare")
    clips = read_labelled(data) if data else synthesised()
    for problem in clips.unusable:
        click.echo(printable(f"left out: {problem}"), err=True)
    held_out = split(clips)
    console = Console(highlight=False, markup=False, soft_wrap=True)  # a label may be called [b]
    labels = printable(", ".join(clips.labels))
    console.print(f"{len(clips.clips)} clips, {held_out.sum()} of them held out; labels: {labels}")
    with ports_of(checkpoint, SMALLER if comparing else ()) as ports:
        vectors = embed_all(ports, clips.clips) if comparing else {form: embed(form, ports, clips.clips)}
        first = next(iter(vectors.values()))
        head = train_head(first, clips, ~held_out)
        out.mkdir(parents=True, exist_ok=True)
        if epochs:
            encoder = load_torchaudio(ports)
            head = train_encoder(encoder, head, ports, clips, ~held_out, epochs)
            first = embed_with(encoder, ports, clips.clips)
            write_encoder(encoder, ports, out)
        write_head(head, clips.labels, ports, out / "head.safetensors")
    outcome = judge(head, first, clips, held_out)
    draw_confusion(outcome, out / "confusion.png")
    write_predictions(outcome, out / "predictions.csv")
    console.print(f"{outcome}\nwritten: confusion.png, predictions.csv and head.safetensors in {out}")
    if comparing:
        print_changes(compare(vectors, clips, held_out), int(held_out.sum()), console)


if __name__ == "__main__":
    main()
