"""Loading what is verified: the encoders of one subject, and what is found out before any of them computes.

Weights and settings are held against the original's, and files are loaded as their users load them.
"""
