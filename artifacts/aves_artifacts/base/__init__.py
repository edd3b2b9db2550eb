"""The ground that every other room stands on: errors, messages, files, command lines, progress.

Nothing here knows what an encoder or a bundle is. Code here may touch the file system, the terminal and processes; it
imports nothing of ours from outside this room.
"""
