"""One verdict from all parts of a run, whoever made them and in whatever order they are read.

Reads parts one at a time, and runs no encoder.
"""
