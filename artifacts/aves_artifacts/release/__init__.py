"""Releases: which bundles may be published, what a release consists of, how it is uploaded and checked.

Reads bundles; writes to the address that the user gives, or to the Hub. Signs with the user's own key. A new
storage scheme (``s3://`` and the like) belongs in ``address``.
"""
