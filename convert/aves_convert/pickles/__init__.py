"""Reading pickles as data: nothing in them is run, and what would have been run is told.

Bytes in, plain values and inert records out. No tensors, no files, no imports of what a pickle names.
"""
