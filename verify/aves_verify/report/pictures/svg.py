"""Making figures as SVG inside a page: in the page's colours and fonts, with a name for screen readers.

Matplotlib is imported inside functions: it takes most of a second, and most runs draw nothing.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from aves_artifacts.base.messages import escaped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours of a drawing, which the page replaces by its own, light or dark.
INK, MUTED, LINE, SHADE = "#010101", "#020202", "#030303", "#040404"
BAD, DRIFT = "#050505", "#060606"
HEAT = ("#0b0b0b", "#0c0c0c", "#0d0d0d", "#0e0e0e", "#0f0f0f", "#101010")  # from few to many
_PAGE = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    SHADE: "var(--shade)",
    BAD: "var(--bad)",
    DRIFT: "var(--drift)",
    "#070707": "var(--port-1)",
    "#080808": "var(--port-2)",
    "#090909": "var(--port-3)",
    "#0a0a0a": "var(--port-4)",
    **{ours: f"var(--heat-{i})" for i, ours in enumerate(HEAT, start=1)},
}


@dataclass(frozen=True)
class Look:
    """How a port is drawn: never told by colour alone."""

    colour: str
    marker: str
    dash: str


_LOOKS = {
    "torchaudio": Look("#070707", "o", "-"),
    "onnx": Look("#080808", "s", "--"),
    "transformers": Look("#cc79a7", "v", "--"),
    "openvino": Look("#090909", "^", "-."),
}
_OTHERS = (Look("#0a0a0a", "D", ":"), Look("#090909", "v", ":"), Look("#080808", "P", ":"), Look("#070707", "X", ":"))


def look_of(backend: str) -> Look:
    """How a port is drawn in every picture; one that another package brings by its name alone."""
    return _LOOKS.get(backend) or _OTHERS[sum(backend.encode()) % len(_OTHERS)]


WIDTH = 4.4  # inches, 317 points, the width of a phone: there, text of 9 points is some 10 pixels high
_RC: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "aves-verify",
    "path.simplify": False,
    "text.parse_math": False,  # a clip may be called $x$
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}
_NAMESPACE = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True)
class Picture:
    """A drawing, and in words and numbers what is seen on it."""

    identity: str  # unique within a page
    title: str
    caption: str
    svg: str


def style() -> AbstractContextManager[Any]:
    """Set how figures are made and saved, for a block."""
    import matplotlib

    return matplotlib.rc_context(_RC)


def picture(
    identity: str, title: str, caption: str, height: float, draw: Callable[[Figure], None], *, width: float = WIDTH
) -> Picture:
    """Make a figure of this height in inches, have it drawn, and turn it into SVG."""
    from matplotlib.figure import Figure

    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the page's fonts show the names, not matplotlib's
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", transparent=True, dpi=144, metadata={"Date": None})
    return Picture(identity, title, caption, _inline(stream.getvalue(), identity, title))


def plain_powers(axes: Axes, *which: str) -> None:
    """Write an axis's powers of ten as 1e-3: superscripts are too small on a phone."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for name in which:
        axis = axes.xaxis if name == "x" else axes.yaxis
        low, high = sorted(axis.get_view_interval())
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 50 * low else (1.0,), numticks=7))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: power(value)))


def power(value: float) -> str:
    """Write a number as a power of ten, 0.001 as 1e-3; between 0.01 and 100 as it is."""
    if 0.009 < value < 101:
        return f"{value:g}"
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _inline(svg: bytes, identity: str, title: str) -> str:
    """What matplotlib writes as a part of a page: its own identities, the page's colours and fonts, a title."""
    ElementTree.register_namespace("", _NAMESPACE)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(svg)  # noqa: S314 - matplotlib has just written it
    for name in ("metadata", "defs"):  # licence and date; styles that would reach the whole page
        for element in root.findall(f"{{{_NAMESPACE}}}{name}"):
            if name == "metadata" or element.find(f"{{{_NAMESPACE}}}style") is not None:
                root.remove(element)
    for element in root.iter():
        _adapt(element, identity)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{identity}-title", "aria-describedby": f"{identity}-caption"}
    named = ElementTree.Element(f"{{{_NAMESPACE}}}title", {"id": f"{identity}-title"})
    named.text = escaped(title)
    root.insert(0, named)
    return ElementTree.tostring(root, encoding="unicode")


def _adapt(element: ElementTree.Element, identity: str) -> None:
    attributes = element.attrib
    if "id" in attributes:
        attributes["id"] = f"{identity}-{attributes['id']}"
    if attributes.get(_XLINK, "").startswith("#"):
        attributes[_XLINK] = f"#{identity}-{attributes[_XLINK][1:]}"
    if "clip-path" in attributes:
        attributes["clip-path"] = attributes["clip-path"].replace("url(#", f"url(#{identity}-")
    for name in ("style", "fill", "stroke"):
        if name in attributes:
            attributes[name] = _restyle(attributes[name])
    for name in ("d", "x", "y"):
        if name in attributes:
            attributes[name] = _rounded(attributes[name])


def _rounded(coordinates: str) -> str:
    """Six digits after the point are most of a long line's size; a marker's outline is short, and keeps two."""
    digits = 2 if len(coordinates) < 400 else 1
    return re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.{digits}f}", coordinates)


def _restyle(text: str) -> str:
    for ours, theirs in _PAGE.items():
        text = text.replace(ours, theirs)
    return re.sub(r"font: (?:\w+ )*([\d.]+)px [^;]*", r"font-size: \1px", text)
