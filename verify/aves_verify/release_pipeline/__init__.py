"""Making a release in one run: convert, verify, attach the report, publish; what is done already is kept.

Calls the other rooms and packages step by step; a journal in the store lets a run that was cut off go on.
"""
