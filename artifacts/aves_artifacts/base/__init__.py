"""What every other room builds on: errors, messages, command lines, progress, processes.

Nothing here knows what an encoder or a bundle is. Code here may touch the terminal and processes; it imports nothing
of ours from outside this room.
"""
