"""The folder that transformers loads a model from: its names, its settings, and the encoder that they describe.

Knows file names and plain values alone: nothing here imports transformers, or reads a tensor.
"""
