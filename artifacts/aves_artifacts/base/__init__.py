"""What every other room builds on: errors, messages, files, documents, command lines, progress.

Nothing here knows what an encoder or a bundle is. Code here may touch the file system, the terminal and processes; it
imports nothing of ours from outside this room.
"""
