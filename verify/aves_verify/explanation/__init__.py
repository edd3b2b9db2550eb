"""Where a difference begins: every value inside a port against the exact one; and what moves embeddings at all.

Runs encoders again on one clip; writes nothing.
"""
