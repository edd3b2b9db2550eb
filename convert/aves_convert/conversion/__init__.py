"""Conversions as a user asks for them: files in, files out, whole or not at all.

What a conversion reads is a ``Source``, where it writes a ``Target``. Commands and the public API call what is here.
"""
