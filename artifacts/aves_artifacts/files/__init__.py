"""Files: reading what a user or a server named, within bounds, and writing whole or not at all.

Knows formats that others build on, such as JSON, TOML and protocol buffers, and not what is in them.
"""
