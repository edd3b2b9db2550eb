"""Drawing errors by clip, by layer and by stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from aves_artifacts.base.messages import escaped
from aves_artifacts.bundle.outputs import FINAL, is_layer
from aves_verify.comparison.compare import Comparison
from aves_verify.explanation.explain import Explanation
from aves_verify.report.pictures.svg import BAD, INK, MUTED, Picture, look_of, picture, plain_powers
from aves_verify.report.summary import Port

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_CLIPS = 40
_MOST_CHARACTERS = 26


def ratio_picture(identity: str, ports: Sequence[Port]) -> Picture | None:
    """Draw the error ratio by clip, ports beside each other; None where nothing has one."""
    found = {port.backend: _by_clip(port) for port in ports}
    worst: dict[str, float] = {}
    for clip, ratio in (item for ratios in found.values() for item in ratios.items()):
        worst[clip] = max(worst.get(clip, 0.0), ratio)
    if not worst:
        return None
    kept = set(sorted(worst, key=lambda clip: -worst[clip])[:_MOST_CLIPS])
    clips = [clip for clip in worst if clip in kept]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.axvline(1, color=INK, linewidth=1.2)
        offsets = np.linspace(-0.17, 0.17, len(ports)) if len(ports) > 1 else np.zeros(1)
        for port, offset in zip(ports, offsets, strict=True):
            look = look_of(port.backend)
            places = [i for i, clip in enumerate(clips) if clip in found[port.backend]]
            ratios = [found[port.backend][clips[i]] for i in places]
            axes.plot(ratios, np.array(places) + offset, look.marker, color=look.colour, ms=4.5, label=port.backend)
            limit = port.comparisons[0].tolerance.error_ratio
            axes.axvline(limit, color=look.colour, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set_yticks(range(len(clips)), [_short(clip) for clip in clips])
        axes.set_ylim(len(clips) - 0.4, -0.6)
        axes.set_xlabel("error ratio (dashed: allowed)")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
        plain_powers(axes, "x")

    told = "; ".join(
        f"{name} at most {max(ratios.values()):.2g} ({escaped(max(ratios, key=lambda clip: ratios[clip]))}), "
        f"{_limit(ports, name):g} allowed"
        for name, ratios in found.items()
        if ratios
    )
    left_out = len(worst) - len(clips)
    rest = f" The {left_out} clips with the smallest ratios are left out." if left_out > 0 else ""
    caption = (
        "The port's error against the same encoder in float64, as a multiple of the original's own. Left of the line "
        f"at 1 the port is more accurate than the original. {told}.{rest}"
    )
    return picture(identity, "Error ratio by clip", caption, 0.95 + 0.21 * max(4, len(clips)), draw)


def layers_picture(identity: str, ports: Sequence[Port]) -> Picture | None:
    """Draw the error over the layers, the worst clip of each; None where only last outputs were compared."""
    found = (c.layer for port in ports for c in port.comparisons)
    names = list(dict.fromkeys(name for name in found if name == FINAL or is_layer(name)))
    if len(names) < 2:
        return None
    names.sort(key=lambda name: np.inf if name == FINAL else int(name.rpartition(".")[2]))
    measured = all(c.error_ratio is not None for port in ports for c in port.comparisons if np.isfinite(c.max_abs))
    what = "error ratio" if measured else "max |diff|"
    curves = {port.backend: [_over_clips(port, name, ratio=measured) for name in names] for port in ports}

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set_yscale("log")
        if measured:
            axes.axhline(1, color=INK, linewidth=1.2)
        for port in ports:
            look = look_of(port.backend)
            curve = np.array(curves[port.backend])
            axes.plot(curve, look.dash, marker=look.marker, ms=4, color=look.colour, label=port.backend)
        step = max(1, len(names) // 13)
        kept = [*range(0, len(names) - 1, step), len(names) - 1]
        axes.set_xticks(kept, [names[i].rpartition(".")[2] for i in kept])
        axes.set_xlabel("layer")
        axes.set_ylabel(what)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
        plain_powers(axes, "y")

    told = "; ".join(
        f"{name} from {curve[0]:.2g} to {curve[-1]:.2g}, at most {np.nanmax(curve):.2g} "
        f"({names[int(np.nanargmax(curve))]})"
        for name, curve in curves.items()
        if np.isfinite(curve).any()
    )
    caption = f"The largest {what} over all clips, layer by layer: {told}."
    return picture(identity, f"{what.capitalize()} over the layers", caption, 2.8, draw)


def stages_picture(identity: str, explanation: Explanation) -> Picture:
    """Draw a port's error and float32's own along the encoder, the first that departs marked."""
    stages, first = explanation.stages, explanation.first
    port = np.array([s.port if s.port is not None and s.found else np.nan for s in stages])
    own = np.array([s.own for s in stages])

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set_yscale("log")
        axes.plot(own, "-", color=MUTED, label="float32's own error")
        look = look_of(explanation.backend)
        axes.plot(port, look.dash, marker=look.marker, ms=2.5, color=look.colour, label=explanation.backend)
        if first is not None:
            at = stages.index(first)
            axes.axvline(at, color=BAD, linewidth=1.2, linestyle=(0, (1, 1.5)))
            height = port[at] if np.isfinite(port[at]) else own[at]
            axes.plot([at], [height], "o", ms=9, markerfacecolor="none", markeredgecolor=BAD, markeredgewidth=1.6)
            side = "left" if at < len(stages) / 2 else "right"
            axes.annotate(
                f"{first.stage}, {first.operator}",
                (at, 1),
                xycoords=axes.get_xaxis_transform(),  # at the top, where no curve crosses the words
                xytext=(4 if side == "left" else -4, -2),
                textcoords="offset points",
                ha=side,
                va="top",
            )
        _stage_ticks(axes, [s.stage for s in stages])
        axes.set_ylabel("relative error (RMS)")
        axes.margins(y=0.18)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
        plain_powers(axes, "y")

    missing = int(np.isnan(port).sum())
    gaps = f" At {missing} of {len(stages)} points the graph has no such value." if missing else ""
    caption = f"{explanation.text}. Looked at: {explanation.seconds:.3g} s of the clip, {len(stages)} points.{gaps}"
    title = "where the error begins" if first is not None else "the error along the encoder"
    return picture(identity, f"{explanation.backend}: {title}", escaped(caption), 3.1, draw)


def _stage_ticks(axes: Axes, stages: Sequence[str]) -> None:
    """A tick where a stage begins; of many, every second or third has a label."""
    starts = [i for i, name in enumerate(stages) if i == 0 or stages[i - 1] != name]
    width = len(stages) / 14  # a label's, in points of the encoder
    shown: list[int] = []
    for start in starts:
        if not shown or start - shown[-1] >= width:
            shown.append(start)
    axes.set_xticks(shown, [_abbreviated(stages[i]) for i in shown], rotation=45, ha="right", rotation_mode="anchor")


def _abbreviated(stage: str) -> str:
    return stage.replace("conv block", "conv").replace("positional convolution", "positions")


def _by_clip(port: Port) -> dict[str, float]:
    """The largest over the outputs of one clip."""
    ratios: dict[str, float] = {}
    for comparison in port.comparisons:
        if comparison.error_ratio is not None and comparison.error_ratio > 0:
            ratios[comparison.clip] = max(ratios.get(comparison.clip, 0.0), comparison.error_ratio)
    return ratios


def _over_clips(port: Port, layer: str, *, ratio: bool) -> float:
    values = [_value(c, ratio=ratio) for c in port.comparisons if c.layer == layer]
    return max((v for v in values if v is not None and np.isfinite(v)), default=float("nan"))


def _value(comparison: Comparison, *, ratio: bool) -> float | None:
    return comparison.error_ratio if ratio else comparison.max_abs


def _limit(ports: Sequence[Port], backend: str) -> float:
    return next(p for p in ports if p.backend == backend).comparisons[0].tolerance.error_ratio


def _short(name: str) -> str:
    """The end of a path tells more than its beginning."""
    shown = escaped(name)
    return shown if len(shown) <= _MOST_CHARACTERS else f"…{shown[-_MOST_CHARACTERS + 1 :]}"
