"""Runs over a corpus: its audio is looked up, and drivers have the parts made that are not there yet.

What is in a part is the matter of ``recipes``.
"""
