"""What is verified: the files of one encoder, where they come from, and whose weights they are.

Finds, fetches and makes files; runs no encoder.
"""
