"""The options of an ONNX graph and of a search for what stays wide in it, and what they ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aves_artifacts.base import options

if TYPE_CHECKING:
    from aves_convert.graph.options import OnnxOptions
    from aves_convert.reduction.bounds import Search, Tell

graph_options = options.all_of(
    click.option(
        "--attention",
        type=click.Choice(["standard", "fused"]),
        default="standard",
        show_default=True,
        help="How attention is written: in operators that every runtime has, or as the one that only ONNX Runtime has.",
    ),
    click.option(
        "--exporter",
        type=click.Choice(["graph", "torch"]),
        default="graph",
        show_default=True,
        help="How the graph is made: written from the weights, or traced by torch.onnx.export, which needs torch.",
    ),
    click.option(
        "--opset",
        type=int,
        metavar="N",
        default=17,
        show_default=True,
        help="Version of ONNX's operators, which the runtime must know. From 23 on attention is a single operator.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["float32", "mixed", "float16", "int8"]),
        default="float32",
        show_default=True,
        help="What the graph computes in: float32, for every runtime; or some sums in float64 too, which lessens the "
        "error by a tenth where a runtime has float64, as ONNX Runtime on a CPU does; or products in half precision, "
        "for GPUs and browsers; or the transformer's products in eight bits, for a third of the size.",
    ),
    click.option(
        "--weights",
        type=click.Choice(["float32", "float16"]),
        help="How large weights lie in the file: float16 is half as long, and rounded; the graph computes in float32.  "
        "[default: float32, but float16 beside {precision} int8, whose noise hides the rounding]",
    ),
    click.option(
        "--wide",
        metavar="LIST",
        help="Products that stay in float32 beside those of {precision} int8 or float16, by module, e.g. "
        "encoder.transformer.layers.0.feed_forward.output_dense. By default none do.",
    ),
    click.option(
        "--fixed-length",
        type=click.IntRange(min=1),
        metavar="N",
        help="A graph for waveforms of N samples alone, for runtimes that must know every size. By default it "
        "takes any length.",
    ),
    click.option(
        "--fixed-batch",
        type=click.IntRange(min=1),
        metavar="N",
        help="How many waveforms at once a graph with {fixed_length} takes.  [default: 1]",
    ),
    click.option(
        "--channel-axis",
        is_flag=True,
        help="A graph for waveforms [batch, 1, samples], as tools of voice conversion give them. By default it takes "
        "[batch, samples].",
    ),
    options.layers("What the graph gives"),
    click.option(
        "--outputs",
        metavar="LIST",
        help="What the graph gives instead, by name in this order, e.g. embeddings,layer.8,layer.8.projection. Layers "
        "are counted from 0: layer.8 is what others call layer 9. layer.N.units, the nearest centroids, need "
        "{centroids}. Layers behind the last one that is named are left out.  [default: embeddings, and logits where "
        "there is a head]",
    ),
)


search_options = options.all_of(
    options.min_snr(
        "Search for the products that must stay in float32 beside {precision} int8 so that noise is at least so "
        "many dB below the signal in every clip. By default no bound is kept."
    ),
    options.min_cosine(
        "The same so that the cosine with the float32 embeddings is at least X, such as 0.999, in every frame. By "
        "default no bound is kept."
    ),
    click.option(
        "--calibrate",
        type=options.path_type(),
        multiple=True,
        metavar="PATH",
        help="A recording to search on, or a folder of recordings; may be given several times. Half of them only judge "
        "what was found.  [default: synthesised sounds]",
    ),
    click.option(
        "--explain",
        is_flag=True,
        help="Draw F.search.svg too: noise against size and time, each point a graph that was run. By default only "
        "F.search.json is written, which says what stays wide and why.",
    ),
)


def options_of(chosen: dict[str, Any]) -> OnnxOptions:
    """The graph that is asked for; its options are taken out of those that were given."""
    from aves_artifacts.base.errors import InputError
    from aves_convert.graph.options import OnnxOptions

    length, batch = (chosen.pop(name) for name in ("fixed_length", "fixed_batch"))
    outputs, wide = names(chosen.pop("outputs")), names(chosen.pop("wide") or None)
    if length is None and batch is not None:
        raise InputError(f"a batch of {batch} waveforms whose length is not known", hint="add {fixed_length} N")
    chosen["weights"] = chosen["weights"] or ("float16" if chosen["precision"] == "int8" else "float32")
    return OnnxOptions(
        **chosen, fixed_shape=None if length is None else (batch or 1, length), outputs=outputs, wide=wide
    )


def search_of(given: dict[str, Any], tell: Tell, show: Tell) -> Search | None:
    """The search that is asked for, if one is; its options are taken out of those that were given."""
    from aves_artifacts.base.errors import InputError
    from aves_convert.reduction.bounds import Bounds, Search

    bounds = Bounds(given.pop("min_snr"), given.pop("min_cosine"))
    calibrate, explain = given.pop("calibrate"), given.pop("explain")
    if bounds == Bounds() and (calibrate or explain):
        what = "recordings to search on" if calibrate else "a picture of a search"
        raise InputError(f"{what}, and nothing to search for", hint="add {min_snr} DB or {min_cosine} X")
    return None if bounds == Bounds() else Search(bounds, calibrate, explain, tell, show)


def names(listed: str | None) -> tuple[str, ...]:
    """The names in a list that is separated by commas."""
    return () if listed is None else tuple(name.strip() for name in listed.split(","))
