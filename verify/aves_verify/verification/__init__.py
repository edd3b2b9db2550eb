"""A verification from files to a Report: plan, backends, clips, comparisons, progress; and recordings of an original.

Loads backends and runs them; the comparison itself and the renderings lie in rooms of their own.
"""
