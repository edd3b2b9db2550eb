"""A corpus: recordings at any address, cut into windows and these into shards, alike on every machine.

Code here knows sounds and files, and nothing of encoders.
"""
