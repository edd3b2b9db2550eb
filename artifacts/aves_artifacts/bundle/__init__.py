"""A bundle: an encoder's files in one folder with their manifest, its model card, its report and its check.

Reads and writes bundle folders; the contents check loads weights and graphs as a user would. No network.
"""
