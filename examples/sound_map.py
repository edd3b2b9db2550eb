"""The map of sounds as a picture, and as a page on which the clips are seen and heard."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from matplotlib import rc_context
from numpy.typing import NDArray

from aves_verify import Clip
from clusters import Clusters, Points
from console import printable
from synthesis import SAMPLE_RATE

# Of clusters: colours that colour-blind people tell apart (Okabe and Ito 2008). What is in no cluster is grey.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f", "#5a5ad0")
NOISE = "#8a8f98"
# Of labels: matplotlib's name of a marker, and its outline in SVG, some 14 units wide.
MARKERS = (
    ("o", "M-7,0a7,7 0 1,0 14,0a7,7 0 1,0 -14,0Z"),
    ("s", "M-6,-6H6V6H-6Z"),
    ("^", "M0,-8L8,6H-8Z"),
    ("D", "M0,-9L9,0L0,9L-9,0Z"),
    ("v", "M0,8L8,-6H-8Z"),
    ("P", "M-3,-8H3V-3H8V3H3V8H-3V3H-8V-3H-3Z"),
    ("X", "M-8,-4L-4,-8L0,-4L4,-8L8,-4L4,0L8,4L4,8L0,4L-4,8L-8,4L-4,0Z"),
    ("p", "M0,-8L8,-2L5,7H-5L-8,-2Z"),
)
WIDTH, HEIGHT, MARGIN = 1000, 720, 40  # of the page's map, in its own units
WINDOW, RANGE = 512, 80.0  # of a spectrogram: samples, and decibels below the loudest
MOST_COLUMNS = 360  # pixels


@dataclass(frozen=True, eq=False)
class SoundMap:
    """Clips on a map: where each lies, its label (empty without one), its cluster and its nearest clips."""

    clips: Sequence[Clip]
    labels: Sequence[str]
    points: Points
    clusters: Clusters
    nearest: NDArray[np.int64]  # [clips, neighbours]
    axes: str  # what the map was made with
    title: str

    @property
    def kinds(self) -> list[str]:
        """The labels, sorted."""
        return sorted(set(self.labels))

    def groups(self) -> list[tuple[int, str]]:
        """The clusters' numbers with their names; what is in none comes last."""
        numbers = sorted(set(self.clusters.tolist()), key=lambda number: (number < 0, number))
        sizes = {number: int((self.clusters == number).sum()) for number in numbers}
        return [
            (number, f"cluster {number + 1} ({sizes[number]})" if number >= 0 else f"in no cluster ({sizes[number]})")
            for number in numbers
        ]

    def middles(self) -> Iterator[tuple[int, Points]]:
        """Where the clusters' numbers are written."""
        for number in sorted(set(self.clusters.tolist()) - {-1}):
            yield number, np.median(self.points[self.clusters == number], axis=0)


def colour(cluster: int) -> str:
    """The colour of a cluster; after the last it begins again, so the numbers are written beside."""
    return NOISE if cluster < 0 else COLOURS[cluster % len(COLOURS)]


@rc_context({"text.parse_math": False})  # a label may be called $x$
def draw(sounds: SoundMap, path: Path) -> None:
    """Write the map as PNG: colour is the cluster, shape the label."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    for index, label in enumerate(sounds.kinds):
        of_label = np.array([own == label for own in sounds.labels])
        axes.scatter(
            sounds.points[of_label, 0],
            sounds.points[of_label, 1],
            c=[colour(cluster) for cluster in sounds.clusters[of_label]],
            marker=MARKERS[index % len(MARKERS)][0],
            s=42,
            linewidths=0.6,
            edgecolors="white",
        )
    for number, (x, y) in sounds.middles():
        axes.annotate(
            str(number + 1), (x, y), ha="center", va="center", weight="bold",
            bbox={"boxstyle": "circle", "fc": "white", "ec": colour(number), "lw": 1.5},
        )  # fmt: skip
    axes.set(title=sounds.title, xlabel=f"{sounds.axes} 1", ylabel=f"{sounds.axes} 2", xticks=[], yticks=[])
    dots = [Line2D([], [], ls="", marker="o", color=colour(number), label=name) for number, name in sounds.groups()]
    shapes = [
        Line2D([], [], ls="", marker=MARKERS[index % len(MARKERS)][0], color="black", label=printable(label))
        for index, label in enumerate(sounds.kinds)
        if label
    ]
    figure.legend(handles=[*dots, *shapes], loc="outside right upper", frameon=False)
    figure.savefig(path, format="png", dpi=150)


def to_html(sounds: SoundMap, progress: Iterator[Clip]) -> str:
    """The map as one page without any outside resource; ``progress`` yields its clips.

    Its policy lets the browser run the one script whose hash it names and load nothing.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent
    script = (folder / "sound_map.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page: str = environment.get_template("sound_map.html").render(
        sounds=sounds,
        clips=list(_on_page(sounds, progress)),
        kinds=[(MARKERS[index % len(MARKERS)][1], label) for index, label in enumerate(sounds.kinds) if label],
        groups=[(colour(number), name) for number, name in sounds.groups()],
        middles=[(number + 1, *_place(sounds, point), colour(number)) for number, point in sounds.middles()],
        size=(WIDTH, HEIGHT),
        script=script,
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
    )
    return page


def _on_page(sounds: SoundMap, progress: Iterator[Clip]) -> Iterator[dict[str, Any]]:
    """What the page has of each clip."""
    for number, clip in enumerate(progress):
        cluster = int(sounds.clusters[number])
        x, y = _place(sounds, sounds.points[number])
        yield {
            "name": printable(clip.name),
            "label": printable(sounds.labels[number]),
            "cluster": f"cluster {cluster + 1}" if cluster >= 0 else "in no cluster",
            "seconds": round(clip.duration, 2),
            "x": x,
            "y": y,
            "colour": colour(cluster),
            "marker": MARKERS[sounds.kinds.index(sounds.labels[number]) % len(MARKERS)][1],
            "near": sounds.nearest[number].tolist(),
            "picture": _data_uri("image/jpeg", _picture(clip)),
            "sound": _data_uri("audio/mpeg", _sound(clip)),
        }


def _place(sounds: SoundMap, point: Points) -> tuple[float, float]:
    """A point in the units of the page's map, y downwards."""
    low, high = sounds.points.min(axis=0), sounds.points.max(axis=0)
    x, y = ((point - low) / np.maximum(high - low, 1e-9)).tolist()
    return round(MARGIN + x * (WIDTH - 2 * MARGIN), 1), round(HEIGHT - MARGIN - y * (HEIGHT - 2 * MARGIN), 1)


def _picture(clip: Clip) -> bytes:
    """The spectrogram in decibels, 0 to 8 kHz, as JPEG: noise makes PNG five times as large."""
    from matplotlib.image import imsave

    padded = np.pad(clip.waveform.astype(np.float64), (0, max(0, WINDOW - clip.samples)))
    step = max(WINDOW // 4, -(-len(padded) // MOST_COLUMNS))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::step] * np.hanning(WINDOW)
    power = np.square(np.abs(np.fft.rfft(frames))).T
    decibels = 10 * np.log10(np.maximum(power / max(power.max(), 1e-30), 10 ** (-RANGE / 10)))
    stream = io.BytesIO()
    imsave(stream, decibels[::2], origin="lower", cmap="cividis", format="jpg", pil_kwargs={"quality": 80})
    return stream.getvalue()


def _sound(clip: Clip) -> bytes:
    """What the encoder heard, made loud and without an offset, as MP3: every browser plays that."""
    centred = clip.waveform - clip.waveform.mean()
    stream = io.BytesIO()
    soundfile.write(stream, 0.9 * centred / max(float(np.abs(centred).max()), 1e-9), SAMPLE_RATE, format="MP3")
    return stream.getvalue()


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
