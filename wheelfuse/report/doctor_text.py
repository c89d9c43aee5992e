"""What a machine can do, for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from rich.text import Text

from wheelfuse.doctor import Cache, Diagnosis, Python, Room, Tool
from wheelfuse.escape import printable
from wheelfuse.report.audit_parts import count
from wheelfuse.report.lines import rendered
from wheelfuse.sizes import human_size

_NEEDS_NOTHING = "merge, split and audit need no other program: neither patchelf nor auditwheel."


def diagnosis_text(found: Diagnosis, *, width: int = 80, color: bool = False) -> str:
    """What works, what is there, and what to install; paths and lines for a shell stay whole, to be copied."""
    lines = [Text(line, "bold" if not number else "") for number, line in enumerate(_head(found))]
    lines += _section("What works here", _abilities(found, width))
    lines += _section("CPythons", _columns([_python(one) for one in found.pythons], width))
    lines += _section("Tools", _columns([_tool(tool) for tool in found.tools if tool.path], width))
    lines += _section("Room", _columns([*map(_room, found.rooms), *map(_cache, found.caches)], width))
    lines += _section("What could be installed", _installs(found, width))
    lines += (Text(), *(Text(line) for line in textwrap.wrap(_NEEDS_NOTHING, width)))
    return rendered(lines, color)


def diagnosis_plain(found: Diagnosis) -> str:
    """The same, each fact in a line of its own."""
    lines = [*_head(found)]
    for one in found.abilities:
        lines.append(
            f"{one.command}: {'works' if not one.missing else 'does not work: ' + _why(one.missing)}"
        )
    for cells in (*map(_python, found.pythons), *(_tool(tool) for tool in found.tools if tool.path)):
        lines.append(f"{cells[0]}: {', '.join(filter(None, cells[1:-1]))}, at {cells[-1]}")
    for cells in (*map(_room, found.rooms), *map(_cache, found.caches)):
        lines.append(f"{cells[0]}: {cells[1]}, in {cells[-1]}")
    for what, serves, line in _wanted(found):
        lines.append(f"missing: {what}, for {serves}; to install it: {line or 'see its own documentation'}")
    return "\n".join((*map(printable, (*lines, _NEEDS_NOTHING)), ""))


def _head(found: Diagnosis) -> Iterator[str]:
    yield f"wheelfuse {found.version}, on CPython {found.python_version}"
    yield printable(str(found.python))
    yield f"{found.system}, {count(found.processors, 'processor')}"
    if found.memory:
        yield f"{human_size(found.memory)} of memory, {human_size(found.available)} of it available"


def _abilities(found: Diagnosis, width: int) -> Iterator[Text]:
    wide = max(len(one.command) for one in found.abilities)
    for one in found.abilities:
        lead = f"  {one.command:<{wide}}  {'no' if one.missing else 'yes'}"
        text = f"{lead}: {printable(_why(one.missing))}" if one.missing else lead
        for number, line in enumerate(_wrapped(text, width, indent=wide + 4)):
            shown = Text(line)
            if not number:
                shown.stylize("red" if one.missing else "green", wide + 4, len(lead))
            yield shown


def _why(missing: Iterable[str]) -> str:
    return "; ".join(missing)


def _python(one: Python) -> tuple[str, ...]:
    """Its cells, the path last."""
    interpreter = one.interpreter
    headers = "headers" if interpreter.include else "no headers"
    torch = f"torch {one.torch}" if one.torch else "no torch"
    return str(interpreter.target), interpreter.version, headers, torch, str(interpreter.path)


def _tool(tool: Tool) -> tuple[str, ...]:
    return tool.name, tool.version, tool.path


def _room(room: Room) -> tuple[str, ...]:
    return room.name, room.problem or f"{human_size(room.free)} free", room.path


def _cache(cache: Cache) -> tuple[str, ...]:
    size = human_size(cache.size)
    return f"cache of {cache.name}", size if cache.counted else f"at least {size}", str(cache.path)


def _columns(rows: list[tuple[str, ...]], width: int) -> Iterator[Text]:
    """The rows, with their last cells below them if there is no room for all of these beside the others."""
    cells = [tuple(map(printable, row)) for row in rows]
    wide = [max(map(len, column)) for column in zip(*(row[:-1] for row in cells), strict=True)]
    leads = ["  ".join(f"{cell:<{size}}" for cell, size in zip(row, wide, strict=False)) for row in cells]
    beside = all(4 + len(lead) + len(row[-1]) <= width for lead, row in zip(leads, cells, strict=True))
    for lead, row in zip(leads, cells, strict=True):
        if beside:
            yield Text(f"  {lead}  {row[-1]}")
        else:
            yield Text(f"  {lead.rstrip()}")
            yield Text(f"      {row[-1]}")


def _wanted(found: Diagnosis) -> Iterator[tuple[str, str, str]]:
    """What is missing, what it would serve, and the line that installs it."""
    yield from ((tool.name, tool.serves, tool.install) for tool in found.missing_tools)
    yield from ((lack.what, lack.serves, lack.install) for lack in found.lacks)


def _installs(found: Diagnosis, width: int) -> Iterator[Text]:
    for what, serves, line in _wanted(found):
        yield from map(Text, _wrapped(f"  {printable(what)}: for {serves}", width, indent=4))
        if line:
            yield Text(f"      {printable(line)}", "green")


def _wrapped(text: str, width: int, indent: int) -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


def _section(title: str, lines: Iterable[Text]) -> Iterator[Text]:
    if shown := list(lines):
        yield from (Text(), Text(title, "bold"), *shown)
