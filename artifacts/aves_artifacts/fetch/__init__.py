"""Downloads of published files into the store: resumed, checked by content, recorded in a lock file.

The one room that speaks HTTP. Writes into the store and the lock file, and nowhere else.
"""
