"""Drivers: many tasks done in this process, in several, or on a cluster, each once, whatever dies meanwhile.

Code here knows processes and schedulers, and nothing of sounds and encoders.
"""
