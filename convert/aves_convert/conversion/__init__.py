"""Whole conversions: files in, files out, each file whole or not written.

What a conversion reads is a ``Source``, where it writes a ``Target``. Commands and the public API call what is here.
"""
