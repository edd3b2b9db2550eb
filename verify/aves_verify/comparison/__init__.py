"""Comparing two sets of embeddings: tolerances, rounding, verdicts; and weights bit for bit.

Arrays in, verdicts out: no files, no torch, no ONNX. The limits are one table, in ``compare``.
"""
