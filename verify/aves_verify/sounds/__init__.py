"""What encoders are compared on: inputs made of clips, which of them fit into this machine, and how they are called.

Nothing here runs an encoder; ``memory`` tells which clips fit.
"""
