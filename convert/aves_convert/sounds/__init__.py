"""Sounds: recordings read at 16 kHz, synthesised reference signals, and what the networks are given of them.

Reads audio files. Nothing here knows an encoder.
"""
