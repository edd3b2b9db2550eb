"""Verifying, from files to a Report: plan, backends, clips, comparisons, progress; and recording an original.

Loads backends and runs them; the comparison itself and the renderings lie in rooms of their own.
"""
