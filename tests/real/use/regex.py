import regex

assert regex.fullmatch(r"(?:(\p{Lu})\w+\s?)+", "Ein Wort Mehr").captures(1) == ["E", "W", "M"]
assert regex.findall(r"(?e)(?:cats){e<=1}", "the cat sat") != []
