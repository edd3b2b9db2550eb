"""Finding out what is installed, what does not fit together, and the command that mends it.

``facts`` looks at the machine, ``diagnose`` concludes, ``text`` words it. Changes nothing.
"""
