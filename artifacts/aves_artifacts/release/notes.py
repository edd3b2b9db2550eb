"""RELEASE.md: what a release holds, what was found about it, and what was waived."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aves_artifacts.base.markdown import code, without_markup
from aves_artifacts.base.templates import fill_markdown
from aves_artifacts.bundle.model_card import licence_sentence, port_rows
from aves_artifacts.configurations.catalog import by_file_name
from aves_artifacts.release.gate import Verified


def release_notes(bundles: Sequence[Verified], version: str, *, signed: bool) -> str:
    """Write a release's notes in Markdown; what comes from outside stands in it as text."""
    return fill_markdown(
        "aves_artifacts.release",
        "notes.md.jinja",
        version=version,
        signed=signed,
        stand_ins=", ".join(bundle.name for bundle in bundles if bundle.is_stand_in),
        rows=[row for bundle in bundles for row in _rows(bundle)],
        waived=[line for bundle in bundles for line in _waived(bundle)],
        drift=[line for bundle in bundles for line in _drift(bundle)],
        sources=[_source(bundle) for bundle in bundles],
        terms=list(dict.fromkeys(line for bundle in bundles for line in _terms(bundle))),
    )


def _rows(bundle: Verified) -> Iterator[str]:
    for row in port_rows(bundle.report):
        yield f"{bundle.name} | {bundle.bundle.manifest.encoder.dimension} | {row}"


def _waived(bundle: Verified) -> Iterator[str]:
    for found in bundle.waived:
        where = f"{found.backend}, {code(found.clip)}, {found.layer}"
        yield f"{bundle.name}, {where}: {without_markup(found.failure)}. Waived because: {without_markup(found.reason)}"


def _drift(bundle: Verified) -> Iterator[str]:
    """Near-zero drift: what the catalogue says of it, and what was found."""
    configuration = by_file_name(bundle.name)
    said = configuration.near_zero_drift if configuration and not bundle.is_stand_in else ""
    comparisons = bundle.report.comparisons
    drifting = sum(comparison.status == "near-zero drift" for comparison in comparisons)
    if said:
        yield f"{bundle.name}: drift near zero is {without_markup(said)}"
    if drifting:
        yield (
            f"{bundle.name}: in {drifting} of {len(comparisons)} comparisons some elements near zero differ by more "
            "than a relative test allows, which is harmless: their absolute differences are within the tolerance"
        )


def _source(bundle: Verified) -> str:
    source = bundle.bundle.manifest.source
    mark = " (stand-in)" if bundle.is_stand_in else ""
    return f"{bundle.name} | {code(source.name, cell=True)}{mark} | `{source.sha256}`"


def _terms(bundle: Verified) -> Iterator[str]:
    manifest = bundle.bundle.manifest
    yield licence_sentence(manifest.licence)
    if manifest.citation and not bundle.is_stand_in:
        yield f"Cite the authors of the models as: {without_markup(manifest.citation)}"
