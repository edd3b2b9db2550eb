"""Recipes: how a part is made of a shard, by whatever process has loaded what that needs.

Each is a pure function of the shard, so it does not matter who makes a part, or how often.
"""
