"""Computing ONNX operators once more in float64, from the very inputs that a runtime gave them.

Knows no encoder: a table of operators, and by how many roundings each may be off. Runs no graph.
"""
