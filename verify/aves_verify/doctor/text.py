"""Writing what the doctor found, as lines and as JSON. Needs nothing that could be broken."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence

from aves_verify.doctor.diagnose import Finding
from aves_verify.doctor.facts import Facts

_TRIED = ("numpy", "torch", "torchaudio", "onnx", "onnxruntime", "fairseq")


def lines(facts: Facts, findings: Sequence[Finding]) -> Iterator[str]:
    """Tell versions, then everything that does not fit with its command, then the verdict."""
    yield f"python       {'.'.join(map(str, facts.python))} on {facts.system}"
    for name in _TRIED:
        yield f"{name:<12} {facts.installed[name] or 'not installed':<16} {_tried(facts, name)}".rstrip()
    yield f"compiler     {facts.compiler or 'none'}"
    if facts.works("opset"):
        yield f"ONNX opsets  {facts.probes['opset'].told} loads, {facts.probes['onnx'].told} can be written"
    for finding in findings:
        yield ""
        yield f"{finding.level.upper()}: {finding.subject}: {finding.what}"
        yield f"  mend it: {finding.mend}"
    yield ""
    yield _verdict(findings)


def _tried(facts: Facts, name: str) -> str:
    if name not in facts.probes:
        return ""
    return "works" if facts.works(name) else "does not import"


def _verdict(findings: Sequence[Finding]) -> str:
    broken = sum(finding.level == "broken" for finding in findings)
    if broken:
        return f"BROKEN: {broken} of these must be mended before the project runs"
    if findings:
        return "WORKS: conversion and verification run here, but for what is limited"
    return "WORKS: everything runs here"


def as_document(facts: Facts, findings: Sequence[Finding]) -> str:
    """Write versions and findings as JSON, for programs."""
    document = {
        "schema": 1,
        "works": all(finding.level != "broken" for finding in findings),
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "facts": dataclasses.asdict(facts),
    }
    return json.dumps(document, indent=1)
