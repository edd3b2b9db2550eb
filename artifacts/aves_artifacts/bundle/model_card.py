"""The model card of a bundle: Markdown with front matter, as the Hugging Face Hub shows it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from aves_artifacts.base.markdown import code, without_markup
from aves_artifacts.base.templates import fill_markdown
from aves_artifacts.bundle.manifest import FILE_NAMES, REDUCED, Manifest, Role
from aves_artifacts.bundle.outputs import EMBEDDINGS, LOGITS, OutputRecord
from aves_artifacts.bundle.report_document import STATUSES, ReportDocument, ReportedComparison
from aves_artifacts.files.file_record import FileRecord
from aves_artifacts.files.writing import replacing

_WHAT: dict[Role, str] = {
    "torchaudio": "weights for torchaudio's `wav2vec2_model`",
    "config": "its arguments",
    "safetensors": "the same tensors",
    "heads": "what stands on the encoder: projections, label embeddings, centroids",
    "onnx": "the graph: `waveform` to its outputs",
    "onnx_data": "its weights, beside it",
    "onnx_float16_weights": "the graph with weights in half precision; it computes in float32",
    "onnx_float16": "the graph with products in half precision, for GPUs and browsers",
    "onnx_int8": "the graph with the transformer's products in eight bits",
    "int8_search": "which of these stay in float32, and why",
    "transformers_config": "for `from_pretrained` of transformers: the settings",
    "transformers_weights": "the same tensors under the names of transformers",
    "transformers_preprocessor": "how it prepares a waveform",
    "transformers_vocabulary": "the letters of the head",
    "transformers_tokenizer": "how they become text",
}


def write_card(manifest: Manifest, folder: Path, report: ReportDocument | None = None) -> Manifest:
    """Write the model card into a bundle's folder; return the manifest that records it. Raises InputError."""
    recorded, content = with_card(manifest, report)
    with replacing(folder / FILE_NAMES["card"]) as temporary:
        temporary.write_bytes(content)
    return recorded


def with_card(manifest: Manifest, report: ReportDocument | None) -> tuple[Manifest, bytes]:
    """Make the model card's content, and the manifest that records it."""
    content = model_card(manifest, report).encode()
    record = FileRecord(FILE_NAMES["card"], len(content), hashlib.sha256(content).hexdigest())
    return replace(manifest, files={**manifest.files, "card": record}), content


def model_card(manifest: Manifest, report: ReportDocument | None) -> str:
    """Write the text of the card: what the model is, how to load it, and what verification found."""
    rate = manifest.encoder.sample_rate
    from_folder = manifest.source.format == "transformers"
    folder = _folder(manifest)
    return fill_markdown(
        "aves_artifacts.bundle",
        "model_card.md.jinja",
        title=without_markup(manifest.name),
        stand_in=manifest.source.stand_in,
        encoder=manifest.encoder,
        graph=manifest.graph,
        origin="a folder that transformers loads" if from_folder else "fairseq",
        original="as transformers computes it" if from_folder else "fairseq",
        from_folder=from_folder,
        ports="TorchAudio, ONNX and transformers" if folder else "TorchAudio and ONNX",
        folder=folder,
        letters="transformers_vocabulary" in manifest.files,
        auto_class="AutoModel" if manifest.config.aux_num_out is None else "AutoModelForCTC",
        pre_norm=manifest.config.encoder_layer_norm_first,
        group_norm=manifest.config.extractor_mode == "group_norm",
        head=manifest.config.aux_num_out,
        rate=f"{rate // 1000} kHz" if rate % 1000 == 0 else f"{rate} Hz",
        second=f"{rate:_}",
        frames=manifest.config.frames(rate),
        frame_rule=manifest.config.frame_rule,
        two_seconds=(2 * rate, manifest.config.frames(2 * rate)),
        outputs=_outputs(manifest),
        channel_axis=manifest.graph is not None and manifest.graph.channel_axis,
        variable=lambda output: re.sub(r"\W", "_", output.name),
        quote=partial(json.dumps, ensure_ascii=False),
        shape=_shape,
        told=_told,
        projections=_projections(manifest),
        last_layer=manifest.encoder.layers - 1,
        centroids=next((output.layer for output in _outputs(manifest) if output.units is not None), None),
        quoted={role: json.dumps(record.name, ensure_ascii=False) for role, record in manifest.files.items()},
        reduced={role: manifest.files[role].name for role in REDUCED.values() if role in manifest.files},
        wide=manifest.reduced["onnx_int8"].wide if "onnx_int8" in manifest.reduced else (),
        rows=[_file_row(manifest, role) for role in _WHAT if role in manifest.files],
        report=report,
        version=report and without_markup(str(report.environment.get("aves-ports"))),
        inputs=len({comparison.clip for comparison in report.comparisons}) if report else 0,
        table=list(port_rows(report)) if report else [],
        source=manifest.source,
        source_name=code(manifest.source.name),
        geometry=without_markup(manifest.source.geometry or ""),
        unknown_config=", ".join(code(f"{name}={value}") for name, value in manifest.source.unknown_config.items()),
        versions=manifest.versions,
        citation=[without_markup(line) for line in manifest.citation.splitlines()],
        licence_lines=list(_licence_lines(manifest.licence)),
        licence_sentence=licence_sentence(manifest.licence),
    )


def _folder(manifest: Manifest) -> str:
    """Where transformers loads from, below the card's own folder; empty where there is nothing for it."""
    if "transformers_config" not in manifest.files:
        return ""
    return manifest.files["transformers_config"].name.rpartition("/")[0] or "."


def _outputs(manifest: Manifest) -> list[OutputRecord]:
    """What the graph gives, where that is something else than the embeddings and the logits of a head."""
    recorded = list(manifest.graph.outputs) if manifest.graph else []
    return recorded if any(output.name not in (EMBEDDINGS, LOGITS) for output in recorded) else []


def _shape(output: OutputRecord) -> str:
    return "int64 [batch, frames]" if output.dimension is None else f"[batch, frames, {output.dimension}]"


def _told(output: OutputRecord) -> str:
    """What an output is, in a few words for a table."""
    if output.units is not None:
        return f"the nearest of {output.units} centroids"
    if output.name == LOGITS:
        return "of the head, before any softmax"
    if "projection" not in output.name:
        return "features"
    labels = "" if output.label_set is None else f", of the labels {code(output.label_set, cell=True)}"
    return f"`final_proj` of these features{labels}"


def _projections(manifest: Manifest) -> int:
    """How many projections the heads file has: the ledger knows what the checkpoint had."""
    if "heads" not in manifest.files:
        return 0
    shapes = {str(entry.source): entry.shape for entry in manifest.ledger if entry.action == "dropped"}
    rows = next((shape[0] for name, shape in shapes.items() if name.endswith("final_proj.weight")), 0)
    size = next((shape[1] for name, shape in shapes.items() if name.endswith("label_embs_concat")), rows)
    return rows // size if size else 0


def _file_row(manifest: Manifest, role: Role) -> str:
    record = manifest.files[role]
    return f"{code(record.name, cell=True)} | {record.size} | {_WHAT[role]}"


def port_rows(report: ReportDocument) -> Iterator[str]:
    """The cells of the card's table: for each port the worst over its comparisons."""
    for backend in dict.fromkeys(comparison.backend for comparison in report.comparisons):
        found = [comparison for comparison in report.comparisons if comparison.backend == backend]
        numbers = [comparison for comparison in found if not comparison.layer.endswith(".units")] or found
        ratios = [comparison.error_ratio for comparison in numbers if comparison.error_ratio is not None]
        cells = (
            backend,
            max((comparison.status for comparison in found), key=STATUSES.index),
            _worst(max, (comparison.max_abs for comparison in numbers), ".1e"),
            _worst(min, (comparison.cosine_min for comparison in numbers), ".5f"),
            f"{max(ratios):.2f}" if ratios else "-",
            str(sum(comparison.flagged for comparison in found)),
            _allowed(found),
        )
        yield " | ".join(cells)


def _allowed(found: list[ReportedComparison]) -> str:
    """What a port was held to: how much it may cost, or how far it may be."""
    bound = next((comparison.bound for comparison in found if comparison.bound is not None), None)
    if bound is not None:
        return f"{bound.min_snr:g} dB, cosine {bound.min_cosine:g}"
    tolerance = max((comparison.tolerance for comparison in found), key=lambda each: each.atol)
    return f"{tolerance.atol:g} + {tolerance.rtol:g} of the value, error ratio {tolerance.error_ratio:g}"


def _worst(worst: Callable[[Iterable[float]], float], values: Iterable[float | None], form: str) -> str:
    """The worst value of a column; a dash where one could not be computed."""
    there = list(values)
    known = [value for value in there if value is not None]
    return format(worst(known), form) if len(known) == len(there) else "-"


def _licence_lines(licence: str) -> Iterator[str]:
    """Front matter. The Hub has identifiers of its own, SPDX's in small letters; whatever is none is called other."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", licence):
        yield f"license: {licence.lower()}"
    elif licence:
        yield "license: other"
        yield f"license_name: {json.dumps(licence, ensure_ascii=False)}"


def licence_sentence(licence: str) -> str:
    """Say in a sentence what is known of the weights' licence."""
    if not licence:
        return "The licence of the weights was not recorded: ask their authors before you pass them on."
    return f"The weights have their authors' licence: {without_markup(licence)}."
