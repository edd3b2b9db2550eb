"""Releases: which bundles may be published, what a release is of, where it goes, and how it is checked there.

Reads bundles; writes to the address that the user gives, or to the Hub. Signs with the user's own key. A new
storage scheme (``s3://`` and the like) belongs in ``address``.
"""
