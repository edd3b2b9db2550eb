"""The encoder as steps: what each inner value is computed from, by the original's own functions, in any precision.

Values are in one layout everywhere: the waveform [batch, samples], inside the extractor [batch, channels, positions],
after it [batch, frames, channels], scores of the attention [batch, heads, frames, frames].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from aves_artifacts.bundle.outputs import FINAL, LOGITS, Output, layer_name
from aves_artifacts.encoder import EncoderConfig
from aves_convert.weights.heads import projection_name
from aves_verify.audit import functions as f

WAVEFORM = "waveform"
HEAD = "aux"
PROJECTIONS = ("query projection", "key projection", "value projection")  # operators of attention, in their order
OUTPUT = "output"  # the operator of what the encoder returns: what it is given, unchanged
POSITIONAL = "encoder.transformer.pos_conv_embed.conv"
INPUT = ":input"  # a site with this ending is what goes into the module, not what comes out

Compute = Callable[..., Tensor]  # of the weights and the sources
COARSE_WAYS = 2


@dataclass(frozen=True)
class Step:
    """One value on the way through the encoder, and how it is computed from earlier ones."""

    site: str  # the module of torchaudio's wav2vec2_model that computes it, with ":input" what that module is given
    stage: str
    operator: str
    sources: tuple[str, ...]  # sites
    compute: Compute
    coarse: tuple[Compute, ...] = ()  # the same as coarsely as float32 is summed by those who take no care
    added: int = 1  # numbers that each element is a sum of
    is_module: bool = True  # False: a value inside one of torchaudio's functions, which only a graph shows
    schemes: tuple[Compute, ...] = ()  # the ways in which x is rounded, of a product in few bits

    def coarsely(self, way: int) -> Compute:
        """One of the ``COARSE_WAYS``; itself where there is none."""
        return self.coarse[min(way, len(self.coarse) - 1)] if self.coarse else self.compute


def steps(config: EncoderConfig, outputs: Sequence[str] = (FINAL,)) -> tuple[Step, ...]:
    """Every step that these outputs of an encoder need, in the order in which values are computed.

    ``outputs`` are what the port gives, such as "final", "layer.0", "layer.0.projection" and "logits": the last steps,
    each one value unchanged. Units are none of them; the layer that they are chosen by is then the last step.
    """
    found = list(_extractor(config))
    found += _projection(config, found[-1].site)
    found += _positions(config)
    given = {}
    for i in range(config.encoder_num_layers):
        found += _layer(config, i, found[-1].site)
        given[f"layer.{i}"] = found[-1].site
    if config.encoder_layer_norm_first:
        found.append(_norm(_NORM, "last layer norm", "layer norm", found[-1].site))
    given[FINAL] = found[-1].site
    if config.aux_num_out is not None:
        found.append(
            Step(HEAD, "head", "linear", (found[-1].site,), partial(f.linear, HEAD), added=config.encoder_embed_dim)
        )
        given[LOGITS] = HEAD
    for name in outputs:
        output = Output.of(name)
        if output is not None and output.kind == "projection":
            x = given[FINAL] if output.layer is None else given.get(layer_name(output.layer))
            if x is not None:
                found.append(_projection_of(config, name, output, x))
                given[name] = found[-1].site
    found += [Step(name, _output(name), OUTPUT, (given[name],), f.same) for name in outputs if name in given]
    units = [output for name in outputs if (output := Output.of(name)) is not None and output.kind == "units"]
    ends = [given.get(layer_name(output.layer)) for output in units if output.layer is not None]
    return tuple(_needed(found, (*outputs, *(site for site in ends if site is not None))))


def _projection_of(config: EncoderConfig, name: str, output: Output, x: str) -> Step:
    head = projection_name(output.label_set)
    linear = partial(f.linear, head)
    return Step(
        f"{head}:{name}", _output(name), "linear", (x,), linear, added=config.encoder_embed_dim, is_module=False
    )


def _needed(found: Sequence[Step], ends: Sequence[str]) -> Iterator[Step]:
    """Without what leads to none of these sites: layers behind the last one, a head that is not asked for."""
    wanted, ahead = set[str](), [name for name in ends if name in (step.site for step in found)]
    sources = {step.site: step.sources for step in found}
    while ahead:
        site = ahead.pop()
        if site not in wanted:
            wanted.add(site)
            ahead += [source for source in sources[site] if source in sources]
    return (step for step in found if step.site in wanted)


def _output(name: str) -> str:
    return "output" if name == FINAL else f"output {name}"


_POSITIONS = "encoder.transformer.pos_conv_embed"
_NORM = "encoder.transformer.layer_norm"
_PROJECTION = "encoder.feature_projection"


def _extractor(config: EncoderConfig) -> Iterator[Step]:
    x, channels = WAVEFORM, 1
    for i, (out, kernel, stride) in enumerate(config.extractor_conv_layer_config):
        module, stage = f"feature_extractor.conv_layers.{i}", f"conv block {i}"
        conv = partial(f.convolution, f"{module}.conv", stride, config.extractor_conv_bias)
        yield Step(f"{module}.conv", stage, "convolution", (x,), conv, added=channels * kernel)
        x, channels = f"{module}.conv", out
        norm = f"{module}.layer_norm"
        if config.extractor_mode == "layer_norm":
            yield Step(norm, stage, "layer norm", (x,), *_both(f.channel_norm, f.coarse_channel_norm, norm))
            x = norm
        elif i == 0:
            yield Step(norm, stage, "group norm", (x,), *_both(f.group_norm, f.coarse_group_norm, norm))
            x = norm
        yield Step(module, stage, "GELU", (x,), f.gelu, (f.coarse_gelu,))
        x = module


def _projection(config: EncoderConfig, x: str) -> Iterator[Step]:
    norm = f"{_PROJECTION}.layer_norm"
    yield Step(norm, "projection", "layer norm", (x,), *_both(f.turned_norm, f.coarse_turned_norm, norm))
    linear = f"{_PROJECTION}.projection"
    channels = config.extractor_conv_layer_config[-1][0]
    yield Step(linear, "projection", "linear", (norm,), partial(f.linear, linear), added=channels)


def _positions(config: EncoderConfig) -> Iterator[Step]:
    stage, x = "positional convolution", f"{_PROJECTION}.projection"
    conv = partial(f.positional, POSITIONAL, config.encoder_pos_conv_groups)
    added = config.encoder_embed_dim // config.encoder_pos_conv_groups * config.encoder_pos_conv_kernel
    yield Step(POSITIONAL, stage, "convolution", (x,), conv, added=added)
    yield Step(_POSITIONS, stage, "GELU", (POSITIONAL,), f.gelu, (f.coarse_gelu,))
    if config.encoder_layer_norm_first:
        yield Step(f"encoder.transformer.layers.0.layer_norm{INPUT}", stage, "sum", (x, _POSITIONS), f.together)
        return
    yield Step(f"{_NORM}{INPUT}", stage, "sum", (x, _POSITIONS), f.together)
    yield _norm(_NORM, stage, "layer norm", f"{_NORM}{INPUT}")


def _layer(config: EncoderConfig, i: int, x: str) -> Iterator[Step]:
    module, stage = f"encoder.transformer.layers.{i}", f"layer {i}"
    first, second = f"{module}.layer_norm", f"{module}.final_layer_norm"
    if config.encoder_layer_norm_first:
        yield _norm(first, stage, "layer norm before attention", x)
        yield from _attention(config, module, stage, first)
        yield Step(f"{second}{INPUT}", stage, "sum after attention", (x, f"{module}.attention.out_proj"), f.together)
        yield _norm(second, stage, "layer norm before feed-forward", f"{second}{INPUT}")
        yield from _feed_forward(config, module, stage, second)
        fed = f"{module}.feed_forward.output_dense"
        yield Step(module, stage, "sum after feed-forward", (f"{second}{INPUT}", fed), f.together)
        return
    yield from _attention(config, module, stage, x)
    yield Step(f"{first}{INPUT}", stage, "sum after attention", (x, f"{module}.attention.out_proj"), f.together)
    yield _norm(first, stage, "layer norm after attention", f"{first}{INPUT}")
    yield from _feed_forward(config, module, stage, first)
    fed = f"{module}.feed_forward.output_dense"
    yield Step(f"{second}{INPUT}", stage, "sum after feed-forward", (first, fed), f.together)
    yield _norm(second, stage, "layer norm after feed-forward", f"{second}{INPUT}")


def _attention(config: EncoderConfig, module: str, stage: str, x: str) -> Iterator[Step]:
    heads, dim, attention = config.encoder_num_heads, config.encoder_embed_dim, f"{module}.attention"
    for name, operator in zip(("q_proj", "k_proj", "v_proj"), PROJECTIONS, strict=True):
        linear = f"{attention}.{name}"
        yield Step(linear, stage, operator, (x,), partial(f.linear, linear), added=dim)
    q, k, v = (f"{attention}.{name}" for name in ("q_proj", "k_proj", "v_proj"))
    scores, shares, out = f"{attention}:scores", f"{attention}:shares", f"{attention}.out_proj"
    yield Step(
        scores,
        stage,
        "attention scores",
        (q, k),
        partial(f.scores, heads),
        (partial(f.coarse_scores, heads),),
        is_module=False,
    )
    yield Step(shares, stage, "softmax", (scores,), f.softmax, (f.coarse_softmax,), is_module=False)
    yield Step(f"{out}{INPUT}", stage, "attention", (shares, v), f.attend, (f.coarse_attend,))
    yield Step(out, stage, "output projection", (f"{out}{INPUT}",), partial(f.linear, out), added=dim)


def _feed_forward(config: EncoderConfig, module: str, stage: str, x: str) -> Iterator[Step]:
    first, second = f"{module}.feed_forward.intermediate_dense", f"{module}.feed_forward.output_dense"
    dim, inner = config.encoder_embed_dim, config.encoder_ff_interm_features
    yield Step(first, stage, "feed-forward, first linear", (x,), partial(f.linear, first), added=dim)
    yield Step(f"{second}{INPUT}", stage, "feed-forward, GELU", (first,), f.gelu, (f.coarse_gelu,))
    yield Step(
        second, stage, "feed-forward, second linear", (f"{second}{INPUT}",), partial(f.linear, second), added=inner
    )


def _norm(module: str, stage: str, operator: str, x: str) -> Step:
    return Step(module, stage, operator, (x,), *_both(f.layer_norm, f.coarse_layer_norm, module))


def _both(plain: Compute, coarse: Compute, module: str) -> tuple[Compute, tuple[Compute, ...]]:
    return partial(plain, module), tuple(partial(coarse, two_passes, module) for two_passes in (False, True))
