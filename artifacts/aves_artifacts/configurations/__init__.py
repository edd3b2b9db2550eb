"""The catalogue: which encoders are published, where, under what terms, and where their files lie on this machine.

Reads the catalogue that is shipped and the user's own, and the environment variables that name them. No network.
"""
