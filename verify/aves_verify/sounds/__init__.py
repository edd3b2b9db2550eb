"""The sounds that encoders are compared on: recordings, synthesised signals, and the inputs made of them.

Reads audio files. Nothing here knows an encoder; ``memory`` tells which clips fit into this machine.
"""
