"""Pickles as data: a reader that runs nothing, and tells what a pickle would have run.

Bytes in, plain values and inert records out. No tensors, no files, no imports of what a pickle names.
"""
