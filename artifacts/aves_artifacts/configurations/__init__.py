"""The catalogue: which encoders are published, where, under what licence, and where their files lie here.

Reads the catalogue that is shipped and the user's own, and the environment variables that name them. No network.
"""
