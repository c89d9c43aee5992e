"""The outcome of a command for people: pure functions from an outcome to text.

Their layout is so plain that rich, which takes longer to load than small wheels take to merge, is not needed.
"""

from __future__ import annotations

import posixpath
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate

from wheelfuse.abi.modules import parse_module
from wheelfuse.escape import printable
from wheelfuse.fuse.api import MergeOutcome
from wheelfuse.fuse.coverage import Cell, ModuleRow
from wheelfuse.fuse.model import Loss, Resolution
from wheelfuse.fuse.plan import Plan
from wheelfuse.fuse.split import SplitWheel
from wheelfuse.sizes import human_size

MOST_ROWS = 24
"""How many complete modules the table shows; those with a hole are always shown."""

MOST_PATHS = 5
"""How many paths of one kind a list shows."""

_KEY = 11
"""Columns of the words that begin a line about sizes."""

_WORDS = {
    "own": "its own file for",
    "shared": "one file shared by",
    "MISSING": "MISSING for",
    "abi3": "one file of the stable ABI (abi3) for",
    "abi3t": "one file of the stable ABI (abi3t) for",
}
"""What a cell of the table says."""

_TITLE, _MISSING = "extension module", "MISSING"
_SGR = {"bold": "1", "bold green": "1;32", "red": "31"}  # ECMA-48, 8.3.117
RESOLVED_BY = {
    "side-by-side": "per-CPython modules whose DT_NEEDED names their CPython's library",
    "renamed": "extension modules renamed, so that each CPython imports its own",
    "per-target": "libraries that differ, one copy for each CPython",
    "never-loaded": "differ only in bytes that are never loaded, one copy",
    "interchangeable": "builds of one library that present the same face, one copy",
    "equal-members": "archives with equal members, one copy",
    "generated": "C that Cython generated, which differs only in its version and paths, one copy",
    "dispatched": "Python source that differs: a dispatching module",
    "metadata": "METADATA reconciled",
    "entry-points": "entry points united",
    "lines": "lines united",
    "united": "files that only some wheels had, kept for all",
    "all-kept": "every variant kept, named by target",
    "bytecode": "bytecode caches",
    "stale-bytecode": "stale bytecode dropped",
    "by-rule": "settled by --resolve",
}
"""What the rules of a merge did, in words."""


def merge_report(outcome: MergeOutcome, *, width: int = 80, color: bool = False) -> str:
    """The report of a merge: modules by target, sizes, resolutions, and the wheel with its digest."""
    plan, width = outcome.plan, max(width, 40)
    verb = (
        "fused into one"
        if outcome.written
        else f"{'cannot' if plan.error() else 'would'} be fused into one (dry run)"
    )
    project = printable(f"{plan.name.distribution} {plan.name.version}")
    title = f"{project}: {_count(len(plan.originals), 'wheel')} {verb}"
    lines = [*(_styled(line, "bold", color) for line in textwrap.wrap(title, width)), ""]
    lines += _table(plan.modules, [printable(original.label) for original in plan.originals], width, color)
    if hidden := _hidden(plan.modules):
        lines += textwrap.wrap(f"  and {hidden} more extension modules, there for all targets", width)
    lines.append("")
    lines += (
        _wrapped(line, width) for line in (*_sizes(outcome), *_resolutions(plan.resolutions), *_lost(plan))
    )
    # On lines of their own, never wrapped: these are for copying.
    lines += ["", _styled(str(plan.name), "bold green", color)]
    if outcome.written:
        lines.append(f"sha256 {outcome.written.sha256}")
        if str(outcome.written.path.parent) != ".":
            lines.append(f"in     {printable(str(outcome.written.path.parent))}")
    return "\n".join((*lines, ""))


def merge_plain(outcome: MergeOutcome) -> str:
    """The same in words alone, one fact in a line, for screen readers and for grep."""
    plan = outcome.plan
    verb = (
        "fused into one"
        if outcome.written
        else "cannot be fused"
        if plan.error()
        else "would be fused into one"
    )
    lines = [f"{plan.name.distribution} {plan.name.version}: {_count(len(plan.originals), 'wheel')} {verb}"]
    lines += [] if outcome.written else ["nothing is written: this is a dry run"]
    for row in plan.modules:
        where: dict[str, list[str]] = defaultdict(list)
        for cell, original in zip(row.cells, plan.originals, strict=True):
            where[_cell(cell)].append(original.label)
        lines += (
            f"module {row.module}: {_WORDS[kind]} {', '.join(labels)}" for kind, labels in where.items()
        )
    key = ""
    for line in _sizes(outcome):
        key = line[:_KEY].strip() or key
        lines.append(f"{key}: {line[_KEY:].strip()}")
    for resolution in plan.resolutions:
        lines.append(f"resolved: {resolution.path}: {RESOLVED_BY[resolution.rule]}: {resolution.outcome}")
    lines += filter(None, _lost(plan))
    lines.append(f"wheel: {plan.name}")
    if outcome.written:
        lines += [f"sha256: {outcome.written.sha256}", f"directory: {outcome.written.path.parent}"]
    return "\n".join((*map(printable, lines), ""))


def _styled(text: str, style: str, color: bool) -> str:
    return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if color and text else text


def _table(rows: tuple[ModuleRow, ...], labels: list[str], width: int, color: bool) -> Iterator[str]:
    """Modules by target; on a narrow terminal several tables, one below the other, with some targets each."""
    shown = [replace(row, module=printable(row.module)) for row in _shown(rows)]
    column = 2 + max(len(text) for text in (*labels, *(_cell(cell) for row in shown for cell in row.cells)))
    name = max((len(row.module) for row in shown), default=0)
    name = min(max(name, len(_TITLE)), max(width - column * len(labels), width // 2))
    at_once = max(1, (width - name) // column)
    for start in range(0, len(labels), at_once):
        heads = labels[start : start + at_once]
        cells = [[_cell(cell) for cell in row.cells[start : start + at_once]] for row in shown]
        widths = [max(map(len, texts)) for texts in zip(heads, *cells, strict=True)]
        yield _styled(f"{_TITLE:{name}}{_centred(heads, widths)}", "bold", color)
        for row, texts in zip(shown, cells, strict=True):
            first, *rest = (row.module[at : at + name] for at in range(0, len(row.module), name))
            found = _centred(texts, widths).replace(_MISSING, _styled(_MISSING, "red", color))
            yield from (f"{first:{name}}{found}", *rest)
        if not shown:
            yield "(none)"


def _centred(texts: Iterable[str], widths: Iterable[int]) -> str:
    return "".join(f"  {text:^{width}}" for text, width in zip(texts, widths, strict=True)).rstrip()


def _shown(rows: tuple[ModuleRow, ...]) -> list[ModuleRow]:
    complete = accumulate(not row.missing for row in rows)  # how many there are up to each row
    return [row for row, count in zip(rows, complete, strict=True) if row.missing or count <= MOST_ROWS]


def _hidden(rows: tuple[ModuleRow, ...]) -> int:
    return len(rows) - len(_shown(rows))


def _cell(cell: Cell) -> str:
    """Whose file it is: the CPython's own, the stable ABI's, or one for whoever comes."""
    if cell.path is None:
        return _MISSING
    module = parse_module(cell.path)
    if module and module.target:
        return "own"
    return module.stable_abi if module and module.stable_abi else "shared"


def _wrapped(line: str, width: int) -> str:
    """The line with its continuations indented below it; file names stay whole, to be copied."""
    text = line.lstrip()
    indent = " " * (len(line) - len(text))
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _sizes(outcome: MergeOutcome) -> Iterable[str]:
    total, largest = sum(size for _, size in outcome.inputs), max(size for _, size in outcome.inputs)
    count = len(outcome.inputs)
    yield f"inputs     {human_size(total)} in {_count(count, 'wheel')}, the largest {human_size(largest)}"
    if outcome.written is None:
        return
    size = outcome.written.size
    yield f"output     {human_size(size)}: {size / total:.0%} of the inputs together"
    if count > 1:
        yield f"download   {size / largest:.2f} times the largest input, for one user"
    yield f"installed  {human_size(outcome.written.installed_size)}"
    yield from _device_code(outcome)
    yield from _debug(outcome)


def _debug(outcome: MergeOutcome) -> Iterable[str]:
    plan, stripping = outcome.plan, outcome.plan.stripping
    if stripping.files:
        files, removed = _count(stripping.files, "file"), human_size(stripping.removed)
        yield f"debug      {removed} cut out of {files}, which split cannot restore"
    elif plan.debug_bytes and outcome.written:
        share = plan.debug_bytes / max(outcome.written.installed_size, 1)
        debug = human_size(plan.debug_bytes)
        yield f"debug      {debug} of it ({share:.0%}) are only for debuggers: --strip-debug cuts them out"
    if outcome.debug_files:
        directory = outcome.debug_files[0].parents[2]
        yield f"           kept in {_count(len(outcome.debug_files), 'debug file')} in {printable(str(directory))}"
    for why, paths in _by_reason(stripping.kept).items():
        yield f"           still in {_first_of(paths)}: {printable(why)}"


def _by_reason(told: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The paths of each reason."""
    found: dict[str, list[str]] = defaultdict(list)
    for path, why in told:
        found[why].append(path)
    return found


def _first_of(paths: list[str]) -> str:
    return printable(paths[0]) + (f" and {len(paths) - 1} more" * (len(paths) > 1))


def _device_code(outcome: MergeOutcome) -> Iterable[str]:
    sharing = outcome.plan.sharing
    if sharing.carrier:
        files = _count(sum(bool(row.containers) for row in sharing.modules), "file")
        disk, wheel = human_size(sharing.saved), human_size(outcome.saved_in_wheel)
        size = human_size(sharing.carrier.section_size)
        saved = f"saves {disk} on disk" + (f", about {wheel} in the wheel" if outcome.written else "")
        yield f"GPU code   {size} stored once for {files}: {saved}"
        yield f"           in {printable(sharing.path)}"
        if sharing.renamed:
            ids = _count(sum(len(row.ids) for row in sharing.modules), "module id")
            yield f"           {human_size(sharing.renamed)} differ in names alone: {ids} of host code changed for that"
    elif sharing.possible > 1 << 16:
        size = human_size(sharing.possible)
        yield f"GPU code   about {size} of it are repeated: --share-device-code stores them once"
    left = _by_reason((row.path, why) for row in sharing.modules for why in row.why_left)
    for why, paths in left.items():
        yield f"           left in {_first_of(paths)}: {printable(why)}"


def _resolutions(resolutions: tuple[Resolution, ...]) -> Iterable[str]:
    by_rule: dict[str, list[Resolution]] = defaultdict(list)
    for resolution in resolutions:
        by_rule[resolution.rule].append(resolution)
    if by_rule:
        yield ""
        yield "resolved"
    for rule, members in by_rule.items():
        yield f"  {RESOLVED_BY[rule]}: {len(members)}"
        for resolution in members[:3]:
            yield f"    {printable(resolution.path)}: {_short(printable(resolution.outcome))}"
        if len(members) > 3:
            names = ", ".join(printable(posixpath.basename(member.path)) for member in members[3:7])
            yield f"    and {len(members) - 3} more: {names}{', ...' if len(members) > 7 else ''}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _short(outcome: str) -> str:
    return outcome if len(outcome) <= 160 else f"{outcome[:157]}..."


def _lost(plan: Plan) -> Iterable[str]:
    if plan.lost:
        paths = sorted({lost.loss.path for lost in plan.lost})
        yield ""
        files, places = _count(len(plan.lost), "file"), _count(len(paths), "path")
        yield f"split cannot restore {files} at {places}, where one copy or none was kept"


def split_report(wheels: tuple[SplitWheel, ...]) -> str:
    """The report of a split: the wheels, and what could not be restored or had to be guessed."""
    lines = []
    for wheel in wheels:
        lines.append(f"{printable(str(wheel.path))}  {human_size(wheel.size)}")
        lines += _not_restorable(wheel.losses)
    for note in dict.fromkeys(note for wheel in wheels for note in wheel.notes):
        lines.append(f"guessed: {printable(note)}")
    return "\n".join((*lines, ""))


def split_plain(wheels: tuple[SplitWheel, ...]) -> str:
    """The same in words alone, one fact in a line."""
    lines = []
    for wheel in wheels:
        lines.append(f"wheel: {wheel.path}, {human_size(wheel.size)}")
        lines += (f"not restorable in {wheel.label}: {loss.path}: {loss.why}" for loss in wheel.losses)
    lines += (f"guessed: {note}" for note in dict.fromkeys(note for wheel in wheels for note in wheel.notes))
    return "\n".join((*map(printable, lines), ""))


def _not_restorable(losses: tuple[Loss, ...]) -> Iterable[str]:
    for why, paths in _by_reason((loss.path, loss.why) for loss in losses).items():
        yield f"    not restorable: {_count(len(paths), 'file')} ({printable(why)})"
        yield from (f"        {printable(path)}" for path in paths[:MOST_PATHS])
        if len(paths) > MOST_PATHS:
            yield f"        and {len(paths) - MOST_PATHS} more; --json names all"
