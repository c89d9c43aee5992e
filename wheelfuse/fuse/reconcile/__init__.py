"""Text members that differ between the wheels of one release, made into one text that is right for all.

Pure functions: the result depends on neither the order of the variants nor anything outside them. Each module brings
parsers of its own, and is loaded where a text of its kind differs.
"""
