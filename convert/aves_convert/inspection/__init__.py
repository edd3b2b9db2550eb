"""What a file is, told from its bytes, and the next command for it.

Reads files of any kind, also hostile ones. Runs nothing, reads no weights, writes nothing.
"""
