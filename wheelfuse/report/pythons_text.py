"""The CPythons of a project on this machine, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.text import Text

from wheelfuse.escape import printable
from wheelfuse.interpreters.matrix import Matrix, Pythons, Row
from wheelfuse.interpreters.probe import Interpreter, Unusable
from wheelfuse.report.audit_parts import count
from wheelfuse.report.lines import rendered
from wheelfuse.report.rules_text import wrapped


def pythons_text(pythons: Pythons, *, width: int = 80, color: bool = False, verbose: bool = False) -> str:
    """One line for each target: its version, where it was found, its path; and why others were passed over."""
    lines = [Text(line, style="bold") for line in wrapped(_head(pythons), width)]
    lines += (Text(line) for note in pythons.matrix.notes for line in wrapped(f"- {printable(note)}", width))
    lines.append(Text())
    for row in pythons.rows:
        lines += _row(row, _columns(pythons), verbose, width)
    if verbose:
        lines += _section("as good, but there is one already", map(_twin, pythons.twins))
        lines += _section("passed over", map(_reason, pythons.others))
    elif others := len(pythons.twins) + len(pythons.others):
        were = "was" if others == 1 else "were"
        lines += (Text(), Text(f"{count(others, 'other')} {were} found and not taken; -v shows them"))
    return rendered(lines, color)


def pythons_plain(pythons: Pythons, *, verbose: bool = False) -> str:
    """The same in words alone, one fact in a line."""
    lines = [_head(pythons), *(f"note: {note}" for note in pythons.matrix.notes)]
    for row in pythons.rows:
        if one := row.interpreter:
            lines.append(f"{row.target}: {one.version}, from {one.source}, at {one.path}")
            lines += (f"{row.target}: {line}" for line in _details(one)) if verbose else ()
        else:
            lines.append(f"{row.target}: MISSING")
        lines += (f"{row.target}: passed over: {_reason(unusable)}" for unusable in row.passed_over)
    others = [*(f"as good: {_twin(twin)}" for twin in pythons.twins)]
    others += (f"passed over: {_reason(one)}" for one in pythons.others)
    if others:
        lines += others if verbose else [f"{count(len(others), 'other')} found and not taken; -v shows more"]
    return "\n".join((*map(printable, lines), ""))


def _head(pythons: Pythons) -> str:
    matrix, there, all_ = pythons.matrix, len(pythons.interpreters), len(pythons.rows)
    if all_ == 1:
        found = "which is" if there else "which is not"
    elif there in (0, all_):
        found = "all of them are" if there else "none of them is"
    else:
        found = f"{there} of them {'is' if there == 1 else 'are'}"
    return f"{_stated(matrix)}{count(all_, 'CPython')}, {found} on this machine"


def _stated(matrix: Matrix) -> str:
    return f"requires-python {printable(matrix.requires_python)}: " if matrix.requires_python else ""


def _columns(pythons: Pythons) -> tuple[int, int, int]:
    """The widths of target, version and source."""
    return (
        max(len(str(row.target)) for row in pythons.rows),
        max((len(i.version) for i in pythons.interpreters), default=0),
        max((len(i.source) for i in pythons.interpreters), default=0),
    )


def _row(row: Row, columns: tuple[int, int, int], verbose: bool, width: int) -> Iterator[Text]:
    target, version, source = columns
    if interpreter := row.interpreter:
        lead = f"{row.target!s:<{target}}  {interpreter.version:<{version}}  {interpreter.source:<{source}}"
        path = printable(str(interpreter.path))
        if len(lead) + 2 + len(path) <= width:
            yield Text(f"{printable(lead)}  {path}")
        else:  # whole, for it is to be copied
            yield Text(printable(lead.rstrip()))
            yield Text(f"{'':{target}}  {path}")
        if verbose:
            yield from (Text(f"{'':{target}}  {line}") for line in _details(interpreter))
    else:
        yield Text.assemble(f"{row.target!s:<{target}}  ", ("MISSING", "red"))
    yield from (Text(f"{'':{target}}  {_reason(unusable)}") for unusable in row.passed_over)


def _details(interpreter: Interpreter) -> Iterator[str]:
    platform = interpreter.platform
    libc = (
        f"{platform.libc} {'.'.join(map(str, platform.version))}" if any(platform.version) else platform.libc
    )
    yield printable(f"{platform.machine}, {libc}")
    yield printable(f"SOABI {interpreter.soabi}")
    yield printable(f"EXT_SUFFIX {interpreter.ext_suffix}")
    yield printable(f"headers in {interpreter.include}")


def _section(title: str, lines: Iterable[str]) -> Iterator[Text]:
    if lines := tuple(lines):
        yield Text()
        yield Text(title, style="bold")
        yield from (Text(f"  {line}") for line in lines)


def _twin(interpreter: Interpreter) -> str:
    return printable(f"{interpreter.target} {interpreter.version} {interpreter.path} ({interpreter.source})")


def _reason(unusable: Unusable) -> str:
    return printable(f"{unusable.path} {unusable.reason}")
