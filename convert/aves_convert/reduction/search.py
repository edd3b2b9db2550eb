"""Searching for the products that stay in float32 so that an int8 graph reaches a bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.versions import own_version
from aves_artifacts.bundle.outputs import EMBEDDINGS, Output, layer_name
from aves_artifacts.encoder import EncoderConfig, encoder_shapes
from aves_artifacts.files.writing import REPLACE
from aves_convert.graph.encoder import check_wide
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph.transformer import products
from aves_convert.reduction.bounds import Search, decibels
from aves_convert.reduction.calibration import Calibration, calibration
from aves_convert.reduction.choice import Burden, choose
from aves_convert.reduction.limits import Table
from aves_convert.reduction.record import Record, clip_entries, weights_sha256
from aves_convert.reduction.running import VERSION
from aves_convert.reduction.sensitivity import Encoder, noise_alone
from aves_convert.reduction.settling import settle
from aves_convert.reduction.trial import Bench, Trial
from aves_convert.sounds.clip import Clip
from aves_convert.sounds.network_input import network_input

_BYTES = {"float32": 4, "float16": 2}  # of a number of a wide product's weight
_DRAWN = 8  # graphs in the picture, beside the float32 one
_LOOSEST, _TIGHTEST, _STEP = -30, 30, 0.5  # dB: between them lies everything from nothing wide to all


def searched(
    config: EncoderConfig,
    state_dict: Mapping[str, NDArray[Any]],
    options: OnnxOptions,
    search: Search,
    *,
    normalize: bool = False,
    record: Path | None = None,
    force: bool = False,
) -> OnnxOptions:
    """Find the cheapest products to keep in float32 so that the graph reaches the bounds; return options that do.

    Noise is measured at the embeddings, or at the last layer of which there is an output. ``record``: F.search.json,
    where measurements are written down as they are made and taken from when the search runs again; F.search.svg is
    drawn beside it. ``normalize``: whether the encoder takes normalised waveforms. The same input gives the same
    answer.

    Raises InputError where the bounds cannot be reached, for audio that cannot be used, and for a ``record`` that is
    another search's, unless ``force``.
    """
    search.check(options)
    encoder = _encoder(config, state_dict, options)
    check_wide(options.wide, encoder.products)
    clips = calibration(search.calibrate, config)
    for line in clips.remarks:
        search.tell(line)
    notes = Record(record, _inputs(encoder, options, clips, normalize=normalize))
    notes.take_up(force=force)
    if search.explain and record is not None and record.with_suffix(".svg").exists() and not force:
        raise InputError(f"{record.with_suffix('.svg')}: already there; nothing was written", hint=REPLACE)
    search.show("the float32 graph")
    sides = (_waveforms(each, normalize=normalize) for each in (clips.searched_on, clips.held_out))
    bench = Bench.of(encoder, options, *sides)
    found = _Searching(encoder, options, search, clips, notes, bench)
    chosen = found.run()
    search.tell(found.said(chosen))
    return replace(options, wide=chosen.wide)


@dataclass(frozen=True, eq=False)
class _Searching:
    """One search, from measured noise to a graph that holds."""

    encoder: Encoder
    options: OnnxOptions
    search: Search
    clips: Calibration
    notes: Record
    bench: Bench

    def run(self) -> Trial:
        """Measure, choose, try, and write down."""
        table = self._measured()
        burden, limits = table.burden(self.search.bounds, self._prices)
        best = settle(burden, self.search.bounds, lambda wide: self._tried(self._names(wide)))
        if best is None:
            raise self._unreachable()
        chosen = self._tried(self._names(best))
        if self.search.explain and self.notes.path is not None:
            self._draw(burden, chosen)
        self._write_down(table, burden, limits, chosen)
        return chosen

    def said(self, chosen: Trial) -> str:
        """What came of it, in a line."""
        count, held = len(self.encoder.products), chosen.held_out
        where = "" if self.notes.path is None else f"; {self.notes.path.name} says which and why"
        return (
            f"{len(chosen.wide) or 'none'} of {count} products stay in float32: {decibels(held.snr)} in the worst clip "
            f"that was not searched on, a cosine of {held.cosine:.5f} in the worst frame{where}"
        )

    def _measured(self) -> Table:
        """The noise of each product alone; what an earlier run has measured is taken from there."""
        waveforms = list(self.bench.searched_on.values())
        for product, noise in noise_alone(self.encoder, waveforms, list(self.notes.noise), self.search.show):
            self.notes.noise[product] = noise
            self.notes.write()
        ordered = {product: self.notes.noise[product] for product in self.encoder.products}
        self.notes.noise = ordered
        signals = {name: np.square(self.bench.references[name].astype(np.float64)) for name in self.bench.searched_on}
        fixed = self.bench.noise(self.encoder.products) if self.options.stores_half else ()
        always = {p: n for p, n in ordered.items() if p not in self.options.wide}
        return Table.of({name: s.sum(axis=-1).reshape(-1) for name, s in signals.items()}, always, fixed)

    @property
    def _prices(self) -> dict[str, int]:
        """By how many bytes the file grows with each product that is not wide already."""
        shapes, wider = encoder_shapes(self.encoder.config), _BYTES[self.options.weights] - 1
        found = {}
        for product in self.encoder.products:
            if product not in self.options.wide:
                rows, columns = shapes[f"{product}.weight"]
                found[product] = max(1, rows * (columns * wider - 4))  # without the rows' scales, which may be more
        return found

    def _names(self, wide: Sequence[int]) -> tuple[str, ...]:
        """All that is wide with these, in the order of the encoder."""
        candidates = list(self._prices)
        named = {candidates[i] for i in wide} | set(self.options.wide)
        return tuple(product for product in self.encoder.products if product in named)

    def _tried(self, wide: tuple[str, ...], *, timed: bool = False) -> Trial:
        """Try a graph out, or take what is known of it."""
        known = self.notes.trials.get(wide)
        if known is None or (timed and known.seconds is None):
            self.search.show(f"a graph with {len(wide)} products in float32")
            known = self.bench.try_out(wide, timed=timed)
            self.notes.trials[wide] = known
            self.notes.write()
        return known

    def _unreachable(self) -> InputError:
        everything = self._tried(self.encoder.products)
        found = min((everything.searched_on, everything.held_out), key=self.search.bounds.margin)
        reached = f"{decibels(found.snr)} in the worst clip, and a cosine of {found.cosine:.6f} in the worst frame"
        return InputError(
            f"{self.search.bounds} cannot be reached: with every product wide it is {reached}",
            hint="give {weights} float32, or ask for less" if self.options.stores_half else "ask for less",
        )

    def _draw(self, burden: Burden, chosen: Trial) -> None:
        """Try graphs from none wide to all, and draw them."""
        from aves_convert.reduction.picture import write_picture

        assert self.notes.path is not None  # noqa: S101 - the caller has looked
        path = sorted({choose(burden, t) or () for t in np.arange(_LOOSEST, _TIGHTEST, _STEP)})
        prices = np.array([burden.price(wide) for wide in path])
        evenly = np.linspace(0, burden.prices.sum(), _DRAWN)
        kept = {path[int(np.argmin(np.abs(prices - price)))] for price in evenly}
        sets = {self._names(wide) for wide in kept} | {self.encoder.products, self._names(()), chosen.wide}
        trials = [self._tried(wide, timed=True) for wide in sorted(sets, key=lambda wide: (len(wide), wide))]
        seconds = max(clip.duration for clip in self.clips.clips)
        write_picture(self.notes.path.with_suffix(".svg"), trials, chosen.wide, self.search.bounds, seconds)

    def _write_down(self, table: Table, burden: Burden, limits: Sequence[str], chosen: Trial) -> None:
        prices = self._prices
        candidates, load = list(prices), burden.load(())
        place = int(np.argmax(load))
        entries: list[dict[str, Any]] = []
        for product in self.encoder.products:
            if product not in prices:
                entries.append({"name": product, "wide": True, "why": "it was asked for"})
                continue
            share = round(float(burden.shares[candidates.index(product), place] / load[place]), 4)
            entries.append(
                {
                    "name": product,
                    "bytes": prices[product],
                    "snr_alone": round(table.alone(product), 2),
                    "share": share,
                    "wide": product in chosen.wide,
                    "why": _why(product in chosen.wide, share, limits[place], held=bool(load[place] <= 1)),
                }
            )
        snr, cosine = table.predicted([product for product in candidates if product not in chosen.wide])
        self.notes.write(
            entries,
            bounds=asdict(self.search.bounds),
            searched_on=clip_entries(self.clips.searched_on),
            held_out=clip_entries(self.clips.held_out),
            remarks=self.clips.remarks,
            result={
                "wide": chosen.wide,
                "size": chosen.size,
                "share_of_float32": round(chosen.size / self.bench.float32_size, 4),
                "predicted": {"snr": round(snr, 3), "cosine": round(cosine, 8)},
                "searched_on": asdict(chosen.searched_on),
                "held_out": asdict(chosen.held_out),
                "prediction_missed_by_db": round(chosen.searched_on.snr - snr, 3) if np.isfinite(snr) else 0.0,
            },
        )


def _why(wide: bool, share: float, limit: str, *, held: bool) -> str:
    part = f"{share:.1%} of the noise that all products make in {limit}"
    if wide:
        return f"{part}; the bound is missed there, and this set is the cheapest that was found to reach it"
    return f"{part}, which may stay" if not held else f"{part}; the bound holds"


def _encoder(config: EncoderConfig, state_dict: Mapping[str, Any], options: OnnxOptions) -> Encoder:
    """The encoder as far as the outputs need it, and the output that is furthest from the waveform."""
    named = [output for name in options.outputs if (output := Output.of(name)) is not None]
    last = max((-1 if output.layer is None else output.layer for output in named), default=-1)
    if not named or any(output.layer is None for output in named):
        return Encoder(config, state_dict, EMBEDDINGS, products(config.encoder_num_layers))
    return Encoder(config, state_dict, layer_name(last), products(last + 1))


def _waveforms(clips: Sequence[Clip], *, normalize: bool) -> dict[str, NDArray[np.float32]]:
    return {clip.name: network_input(clip, normalize=normalize) for clip in clips}


def _inputs(encoder: Encoder, options: OnnxOptions, clips: Calibration, *, normalize: bool) -> dict[str, Any]:
    """All that the measurements depend on."""
    return {
        "weights": weights_sha256(encoder.config, encoder.state_dict),
        "output": encoder.output,
        "stored": options.weights,
        "normalize": normalize,
        "searched_on": [clip.sha256 for clip in clips.searched_on],
        "frames": [encoder.config.frames(clip.samples) for clip in clips.searched_on],
        "held_out": [clip.sha256 for clip in clips.held_out],
        "onnxruntime": VERSION,
        "aves_ports": own_version(),
    }
