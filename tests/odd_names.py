"""Names that a hostile input could bring, and what must not come of them, wherever they are shown."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import strategies as st

TOKENS = (
    "\x1b[31m", "\x1b]0;title\x07", "\x1b]8;;https://evil.example\x1b\\", "\x9b2J", "\x9d0;x\x9c", "\x00", "\x07",
    "\x08", "\r", "\n", "\r\n", "\t", "\x0b", "\x0c", "\x7f", "\x85", "\u2028", "\u2029",
    "\u202a", "\u202b", "\u202d", "\u202e", "\u202c", "\u2066", "\u2067", "\u2068", "\u2069", "\u200e", "\u200f",
    "\u061c", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\xad", "\u034f", "\u3164", "\ufe0f", "\U000e0001",
    "\U000e0100", "\udfff", "\ud800", "x", "\udc80", "\udcff", "\ufffe", "\uffff", "\U0001f40d", "\xa0",
    "caf\u00e9", "\u6f22\u5b57", "::error::x", "::error file=a,line=1::x", "\n::stop-commands::x", "##[error]x",
    "##vso[task.complete]", "%0A", "%25", "\nsection_start:1:x\r\x1b[0K", "\n--- x",
    "\\", "\\x1b", "\\u202e", "\\n", "\\\\", "'", '"', "`", "```", "$(x)", "$HOME", "!", ";", "&", " ", "=", ",",
    "*", "_", "**x**", "[x](https://evil.example)", "![x](https://evil.example/a.png)", "https://evil.example",
    "www.evil.example", "a@evil.example", "@admin", "#1", "<img src=x onerror=y>", "<script>", "<!--", "-->", "]]>",
    "<![CDATA[", "&lt;", "&#27;", "|", "~~x~~", "[bold red]x[/]", "{0}", "%s", "{x}", "pkg/", "/", ".so", "_C",
)  # fmt: skip

pieces = st.one_of(st.sampled_from(TOKENS), st.characters(), st.text("ab\\x1bu202e", max_size=6))


def paired(text: str) -> str:
    """*text* with the one character in place of two surrogates that stand for it; no other program tells them apart."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


names = st.lists(pieces, min_size=1, max_size=6).map("".join).filter(bool).map(paired)
"""Names that hold anything that a `str` can."""

ALL = "".join(TOKENS)
"""All of it in one name."""

_STEERING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def forbidden(text: str) -> list[str]:
    """The characters of *text* that steer a terminal, cannot be seen, or turn text around; line breaks may be there."""
    return [
        letter
        for letter in text
        if letter != "\n" and (unicodedata.category(letter) in _STEERING or _IGNORABLE.match(letter))
    ]


def orders(text: str) -> list[str]:
    """The lines of *text* that the runners of GitHub and Azure would obey."""
    return [
        line
        for line in re.split(r"\r\n|\r|\n", text)
        if line.lstrip().startswith("::") or re.search(r"##\[|##vso\[|##teamcity\[", line)
    ]


def deciphered(shown: str) -> str:
    """The text that is shown so; raises if *shown* is no whole spelling of one."""
    meanings = {"\\\\": "\\", "\\n": "\n", "\\r": "\r", "\\t": "\t"}

    def meaning(match: re.Match[str]) -> str:
        return meanings.get(match[0]) or chr(int(match[0][2:], 16))

    return re.sub(r"\\(?:\\|n|r|t|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})", meaning, shown)
