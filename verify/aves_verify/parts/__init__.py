"""Parts: what is found out about one shard of a corpus, as a file, and what such files are known by.

Code here knows files and tables; it runs no encoder.
"""
