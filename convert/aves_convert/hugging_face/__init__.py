"""Folders that transformers loads a model from, opened: settings and tensors, nothing of them executed.

Reads what transformers itself would read, in its order: safetensors before torch files, one file before several.
"""
