"""The classifier of the authors of AVES: the encoder, its output averaged over time, and one linear layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from console import progress
from encoders import Ports, Vectors, network_input
from labelled_clips import LabelledClips

STEPS = 300  # of the linear layer, each on all clips at once
BATCH = 8  # clips between two steps of the encoder

Chosen = NDArray[np.bool_]  # [clips, labels]
Probabilities = NDArray[np.float64]  # [clips, labels]


@dataclass(frozen=True, eq=False)
class Head:
    """The linear layer: mean embedding [dim] -> a number for each label."""

    weight: torch.Tensor  # [labels, dim]
    bias: torch.Tensor  # [labels]
    one_label_each: bool

    def probabilities(self, vectors: Vectors) -> Probabilities:
        """Softmax where labels exclude each other, else the sigmoid of each."""
        logits = torch.from_numpy(vectors).double() @ self.weight.T + self.bias
        result: Probabilities = (logits.softmax(dim=1) if self.one_label_each else logits.sigmoid()).numpy()
        return result

    def choose(self, probabilities: Probabilities) -> Chosen:
        """The most probable label, or every one that is more probable than not."""
        if self.one_label_each:
            most: Chosen = np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None]
            return most
        return probabilities > 0.5


def loss(logits: torch.Tensor, truth: torch.Tensor, *, one_label_each: bool) -> torch.Tensor:
    """Cross-entropy, or binary cross-entropy where a clip may have several labels or none."""
    if one_label_each:
        return functional.cross_entropy(logits, truth)
    return functional.binary_cross_entropy_with_logits(logits, truth)


def train_head(vectors: Vectors, data: LabelledClips, chosen: NDArray[np.bool_]) -> Head:
    """Train the linear layer on the ``chosen`` clips' vectors. The same vectors give the same layer.

    It starts at zero and sees all clips at every step, so nothing is drawn at random. It is trained on standardised
    vectors, in float64; mean and deviation are folded into it afterwards.
    """
    x = torch.from_numpy(vectors[chosen]).double()
    truth = torch.from_numpy(data.truth[chosen]).double()
    mean, deviation = x.mean(dim=0), x.std(dim=0) + 1e-6
    layer = torch.nn.Linear(x.shape[1], len(data.labels), dtype=torch.float64)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.01, weight_decay=0.1)
    standardised = (x - mean) / deviation
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(layer(standardised), truth, one_label_each=data.one_label_each).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    weight = layer.weight.detach() / deviation
    return Head(weight, layer.bias.detach() - weight @ mean, data.one_label_each)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the classifier says of the held-out clips, beside what they are."""

    data: LabelledClips  # the held-out clips alone
    probabilities: Probabilities
    chosen: Chosen

    @property
    def right(self) -> int:
        """Clips of which exactly the right labels were chosen."""
        return int((self.chosen == self.data.truth).all(axis=1).sum())

    def __str__(self) -> str:
        """The accuracy with its 95 % interval."""
        clips = len(self.data.clips)
        return f"{self.right} of {clips} held-out clips right: {share(self.right, clips)}"


def share(count: int, clips: int) -> str:
    """So many of the clips as a share, with its 95 % interval (Wilson's)."""
    from scipy.stats import binomtest

    interval = binomtest(count, clips).proportion_ci(0.95, method="wilson")
    return f"{100 * count / clips:.0f} % (95 % interval {100 * interval.low:.0f} to {100 * interval.high:.0f} %)"


def judge(head: Head, vectors: Vectors, data: LabelledClips, held_out: NDArray[np.bool_]) -> Outcome:
    """Classify the held-out clips, of which these are the vectors [clips, dim] among those of all."""
    probabilities = head.probabilities(vectors[held_out])
    return Outcome(data.only(held_out), probabilities, head.choose(probabilities))


class Classifier(torch.nn.Module):
    """TorchAudio's encoder with the linear layer on top; the convolutional feature extractor is frozen."""

    def __init__(self, encoder: torch.nn.Module, head: Head) -> None:
        super().__init__()
        self.encoder = encoder
        self.encoder.feature_extractor.requires_grad_(False)
        self.weight = torch.nn.Parameter(head.weight.float())
        self.bias = torch.nn.Parameter(head.bias.float())

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """Waveforms [batch, samples] -> logits [batch, labels]."""
        embeddings, _ = self.encoder(waveform)
        return functional.linear(embeddings.mean(dim=1), self.weight, self.bias)


def train_encoder(
    encoder: torch.nn.Module, head: Head, ports: Ports, data: LabelledClips, chosen: NDArray[np.bool_], epochs: int
) -> Head:
    """Train encoder and head further, clip by clip, because padding would change every frame; return the head."""
    classifier = Classifier(encoder, head)
    on_top = [classifier.weight, classifier.bias]
    below = [p for p in classifier.encoder.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW([{"params": on_top, "lr": 1e-3}, {"params": below, "lr": 1e-5}])
    truth = torch.from_numpy(data.truth).float()
    order = np.random.default_rng(0)
    torch.manual_seed(0)  # dropout
    classifier.train()
    for epoch in range(epochs):
        clips = order.permutation(np.flatnonzero(chosen)).tolist()
        bar = progress(clips, len(clips), f"training the encoder, epoch {epoch + 1} of {epochs}")
        for number, place in enumerate(bar, start=1):
            logits = classifier(network_input(data.clips[place], ports))
            one = loss(logits, truth[place : place + 1], one_label_each=data.one_label_each)
            (one / BATCH).backward()  # type: ignore[no-untyped-call]
            if number % BATCH == 0 or number == len(clips):
                optimizer.step()
                optimizer.zero_grad()
    classifier.eval()
    return Head(classifier.weight.detach().double(), classifier.bias.detach().double(), head.one_label_each)
