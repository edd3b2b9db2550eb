"""What smaller graphs cost, as every rendering tells it: a row for each, and the sentence that goes with the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aves_verify.comparison.compare import Bound, Comparison
from aves_verify.report.report import ConfigReport
from aves_verify.report.summary import ports

COSTS = (
    "These graphs compute something else than the original, and are held to what that may cost, not to rounding. dB: "
    "the power of the original's output over that of the difference, of the worst clip, the worst frame and the median "
    "one; cosine: of the worst frame and the median one. Neighbours: frames whose nearest frame of another "
    "clip is another one. Probe: frames that a linear probe, trained on the original's frames to tell the clips apart, "
    "answers otherwise for."
)
# The first two are texts. "worst" and "median" are those of frames.
HEADINGS = ("port", "worst clip", "dB", "worst", "median", "cosine", "median", "neighbours", "probe", "flips")


@dataclass(frozen=True)
class CostRow:
    """What one smaller graph costs, the worst over its comparisons; texts are ready to be shown."""

    port: str
    worst: Comparison  # the one with the fewest decibels
    cells: tuple[str, ...]  # those of ``HEADINGS`` behind the clip


def cost_rows(config: ConfigReport) -> Iterator[CostRow]:
    """Give a row for each smaller graph of a configuration that could be compared."""
    for port in ports(config):
        found = [(c, c.cost) for c in port.comparisons if c.cost is not None]
        if not found:
            continue
        worst, cost = min(found, key=lambda item: item[1].snr)
        costs = [each for _, each in found]
        task = next((each for each in config.costs if each.backend == port.backend), None)
        yield CostRow(
            port.backend,
            worst,
            (
                f"{cost.snr:.1f}",
                f"{min(each.worst_frame_snr for each in costs):.1f}",
                f"{sorted(each.median_frame_snr for each in costs)[(len(costs) - 1) // 2]:.1f}",
                f"{min(each.worst_cosine for each in costs):.5f}",
                f"{sorted(each.median_cosine for each in costs)[(len(costs) - 1) // 2]:.5f}",
                "-" if task is None else f"{task.neighbours:.1%}",
                "-" if task is None else f"{task.probe:.1%}",
                _flips(port.comparisons, None if task is None else task.letters),
            ),
        )


def held_to_bound(bound: Bound) -> str:
    """Write what a smaller graph had to keep to."""
    return f"{bound.min_snr:g} dB, cosine {bound.min_cosine:g}"


def _flips(comparisons: tuple[Comparison, ...], letters: float | None) -> str:
    """Frames with another unit, and with another best letter."""
    units = [c.flips for c in comparisons if c.flips is not None]
    told = [f"units {sum(u.flipped for u in units) / max(sum(u.frames for u in units), 1):.1%}"] if units else []
    told += [] if letters is None else [f"letters {letters:.1%}"]
    return ", ".join(told) or "-"
