"""Lines of styled text as a string, for reports that wrap their lines themselves."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.text import Text


def rendered(lines: Iterable[Text], color: bool) -> str:
    """The lines, each with its line break and without white space at its end; *color* keeps the styles."""
    if not color:
        text = "".join(f"{line.plain.expandtabs()}\n" for line in lines)
        return "\n".join(line.rstrip() for line in text.split("\n"))
    from rich.console import Console  # twice as long to load as all else of rich, and only needed for colours

    console = Console(
        file=io.StringIO(), width=1 << 16, force_terminal=True, color_system="standard",
        highlight=False, markup=False, emoji=False, legacy_windows=False,
    )  # fmt: skip
    for line in lines:
        console.print(line, soft_wrap=True)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().split("\n"))
