"""Reduced graphs: what eight bits cost against float32, and which products stay wide so that a bound is reached.

Runs graphs in ONNX Runtime, on recordings or on the reference signals.
"""
