"""Writing what the doctor found, as lines and as JSON. Needs nothing that could be broken."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Sequence

from aves_verify.doctor.diagnose import Finding
from aves_verify.doctor.facts import Facts

_TRIED = ("numpy", "torch", "torchaudio", "onnx", "onnxruntime", "fairseq", "transformers")


def lines(facts: Facts, findings: Sequence[Finding]) -> Iterator[str]:
    """Tell versions, then everything that does not fit with its command, then the verdict."""
    yield f"python       {'.'.join(map(str, facts.python))} on {facts.system}"
    for name in _TRIED:
        yield f"{name:<12} {facts.installed[name] or 'not installed':<16} {_tried(facts, name)}".rstrip()
    yield f"compiler     {facts.compiler or 'none'}"
    if facts.works("opset"):
        yield f"ONNX opsets  {facts.probes['opset'].told} loads, {facts.probes['onnx'].told} can be written"
    for finding in findings:
        if finding.level != "absent":
            yield ""
            yield f"{finding.level.upper()}: {finding.subject}: {finding.what}"
            yield f"  mend it: {finding.mend}"
    absent = [finding for finding in findings if finding.level == "absent"]
    if absent:
        yield ""
        yield "Extras that are not installed, or not all of them:"
    for finding in absent:
        yield f"  {finding.subject:<12} {finding.what}"
        yield f"  {'':<12} add it: {finding.mend}"
    yield ""
    yield _verdict(findings)


def _tried(facts: Facts, name: str) -> str:
    if name not in facts.probes:
        return ""
    return "works" if facts.works(name) else "does not import"


def _verdict(findings: Sequence[Finding]) -> str:
    levels = Counter(finding.level for finding in findings)
    if levels["broken"]:
        return f"BROKEN: {levels['broken']} of these must be mended before the project runs"
    if not findings:
        return "WORKS: everything runs here"
    if any(finding.level == "absent" and finding.subject == "verify" for finding in findings):
        return "WORKS: conversion runs here, and verification with the extra verify"
    told = ["limited"] * bool(levels["limited"]) + ["not installed"] * bool(levels["absent"])
    return f"WORKS: conversion and verification run here, but for what is {' or '.join(told)}"


def as_document(facts: Facts, findings: Sequence[Finding]) -> str:
    """Write versions and findings as JSON, for programs."""
    document = {
        "schema": 1,
        "works": all(finding.level != "broken" for finding in findings),
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "facts": dataclasses.asdict(facts),
    }
    return json.dumps(document, indent=1)
