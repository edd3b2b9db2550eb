"""Files of ONNX graphs, whoever made them: written weight by weight from arrays, and their weights read and counted.

Knows ONNX's format and nothing of encoders.
"""
