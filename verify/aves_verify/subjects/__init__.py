"""The files of one encoder that are verified: where they come from, and whose weights they hold.

Finds, fetches and makes files; runs no encoder.
"""
