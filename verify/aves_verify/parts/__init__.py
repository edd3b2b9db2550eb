"""Parts: what is found out about one shard of a corpus, as a file, and the one report that is made of all of them.

Code here runs encoders through ``verification`` and writes files; it knows no scheduler.
"""
