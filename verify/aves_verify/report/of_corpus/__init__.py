"""What each rendering tells of a corpus: the JSON's entries, the texts of terminal and Markdown, and the page's part.

Takes a configuration and gives entries, rows and lines; the renderings beside this room put them in their places.
"""
