"""One Report, and its renderings: one file each for JSON, HTML, Markdown, JUnit and the terminal.

Takes what was found and gives text; ``files`` alone writes. A new column begins in ``summary``, with a port's worst
value; each rendering lists the columns that it shows.
"""
