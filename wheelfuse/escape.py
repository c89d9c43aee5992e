r"""Text from elsewhere made harmless: for people and terminals, for logs of CI systems, and for a shell.

Names of files, members, symbols and libraries, fields of METADATA and output of compilers come from whoever made the
input. They can hold what a terminal obeys (ECMA-48 control functions), what turns text around (Unicode Bidirectional
Algorithm, UAX #9), what cannot be seen, and what a CI system takes for an order (``::error::``). Three rules:

- JSON documents hold names as they are. For people a name goes through `printable`, once, and what has lines, or
  quotes names already, through `printable_lines`.
- Markdown, SARIF, JUnit and annotations add the escapes of their format, each in its module of ``report/``.
- What is printed goes through `harmless` and `without_orders` last, whatever it is (``cli/terminal.py``).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

_INVISIBLE = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0),
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ),
    )
)
"""What is not seen, though `str.isprintable` lets it pass: the letters and marks among the code points with
Default_Ignorable_Code_Point (DerivedCoreProperties.txt of Unicode 16)."""

_LEADS = frozenset("\\nrtxuU")
"""What makes an escape of the backslash before it."""

_STYLE = re.compile(r"\x1b\[(?:(?:[0-2]|22|3[0-79]|49|9[0-7])(?:;(?!m))?)*m")
"""The styles that reports have (ECMA-48, 8.3.117): weight, colour, and their end."""

_ORDER = re.compile(r"^(\s*):(?=:)", re.MULTILINE)
_OLD_ORDER = re.compile(r"#(?=#[\w.-]*\[)")


def printable(text: str) -> str:
    r"""*text* in one line, with what could steer a terminal or hide itself written out: ``\x1b``, ``\n``, ``\u202e``.

    Different texts stay different: where a backslash would read as an escape it is doubled.
    """
    if "\\" not in text and _is_plain(text):
        return text
    shown, following = [], ""
    for character in reversed(text):
        escape = "\\\\" if character == "\\" and following in _LEADS else _escaped(character)
        shown.append(escape)
        following = escape[0]
    return "".join(reversed(shown))


def printable_lines(text: str) -> str:
    """What may have lines, such as a sentence with the end of a log below it, with no control character in them.

    Lines after the first are indented: none can pass for one of wheelfuse. No backslash is doubled, which would spoil
    source text and names that stand quoted in it (``!r``).
    """
    first, *rest = harmless(text).split("\n")
    return "\n".join((first, *(line if line.startswith("    ") else f"    {line}" for line in rest)))


def harmless(text: str, *, styles: bool = False) -> str:
    """*text* in as many lines as it has, with nothing in it that a terminal would obey.

    The last resort: what is foreign in it went through `printable` before, and nothing is left to be done. *styles*
    are kept, of all that begins with ESC.
    """
    parts, at = [], 0
    for style in _STYLE.finditer(text) if styles else ():
        parts += [_without_control(text[at : style.start()]), style[0]]
        at = style.end()
    return "".join((*parts, _without_control(text[at:])))


def without_orders(text: str) -> str:
    r"""Lines of *text*, with what the log of a CI system would take for an order broken up by ``\x3a`` and ``\x23``.

    That is ``::error::`` at the beginning of a line (GitHub), and ``##[error]``, ``##vso[``, ``##teamcity[`` anywhere
    in one. The markers of GitLab and Buildkite need control characters.
    """
    return _OLD_ORDER.sub(r"\\x23", _ORDER.sub(r"\1\\x3a", text))


def shell_word(text: str, *, quotes: bool = False) -> str:
    r"""*text* as one word of a shell that may be shown and pasted: ``'a b'``; ``$'a\033b'`` if it is not printable.

    Words that need no quotes have some if *quotes* says so.

    The latter is POSIX.1-2024, 2.2.4, and in bash, zsh, ksh and busybox since long; its octal escapes are bytes, and
    `printable` and `without_orders` leave them alone.
    """
    if without_orders(printable(text)) == text:
        word = shlex.quote(text)
        return f"'{word}'" if quotes and word == text else word
    return f"$'{''.join(map(_octal, text))}'"


def shell_line(words: Iterable[str]) -> str:
    """A command of these words, each a `shell_word`."""
    return " ".join(map(shell_word, words))


def as_bytes(text: str) -> bytes:
    """The bytes of a name: UTF-8, a byte of its own where Python has a surrogate for one that is none (PEP 383)."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte: from "\ud800" in JSON
        return text.encode("utf-8", "surrogatepass")


def _is_plain(text: str) -> bool:
    return text.isprintable() and (text.isascii() or _INVISIBLE.isdisjoint(text))


def _escaped(character: str) -> str:
    if _is_plain(character):
        return character
    return character.encode("unicode_escape").decode()


def _without_control(text: str) -> str:
    return "\n".join(line if _is_plain(line) else "".join(map(_escaped, line)) for line in text.split("\n"))


def _octal(character: str) -> str:
    if character not in "'\\#:" and _is_plain(character):
        return character
    return "".join(f"\\{byte:03o}" for byte in as_bytes(character))
