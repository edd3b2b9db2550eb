"""Telling what a file is from its bytes, and the command that comes next.

Reads files of any kind, also hostile ones. Runs nothing, reads no weights, writes nothing.
"""
