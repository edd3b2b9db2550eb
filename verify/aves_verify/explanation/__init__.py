"""Explaining differences: where inside a port they begin, and what moves embeddings at all.

Runs encoders again on one clip; writes nothing.
"""
