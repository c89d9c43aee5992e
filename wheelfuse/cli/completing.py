"""What can stand where a word of a command is being typed. Nothing here is slow to load: each Tab starts it anew.

Each function has what click gives ``shell_complete``: the context, the parameter and what is typed so far.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

import click
from click.shell_completion import CompletionItem

from wheelfuse.target import ALL_TARGETS

Items = list[CompletionItem]  # type: ignore[type-arg,unused-ignore]

PATH = "path"
"""The type of items that name files; those of directories end with a slash."""

_SHARED_OBJECTS = (".so", ".whl", ".zip")
_SOURCES = (".cpp", ".cc", ".cxx", ".cu")


def targets(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """``cp310,cp31``: one more."""
    return _listed(typed, map(str, ALL_TARGETS))


def python_names(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """``3.12,cp31``: one more, in either spelling."""
    names = (name for target in ALL_TARGETS for name in (target.python_name, str(target)))
    spelt = "cp" if typed.rpartition(",")[2].startswith("c") else "3"
    return _listed(typed, (name for name in names if name.startswith(spelt)))


def pythons(context: click.Context, parameter: click.Parameter, typed: str) -> Items:
    """A version, or a file."""
    return [*python_names(context, parameter, typed), *paths(typed)]


def rules_to_resolve(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """``GLOB=``, and then a strategy or, if it begins so, a target."""
    from wheelfuse.fuse.options import STRATEGIES

    glob, equals, begun = typed.rpartition("=")
    known = [*STRATEGIES, *map(str, ALL_TARGETS if begun else ())]
    return _beginning(begun, known, before=f"{glob}=") if equals else []


def codes(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """``WF203,WF3``: one more code."""
    return _listed(typed, _titles())


def severities(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """``CODE=``, and then what it shall be."""
    from wheelfuse.auditing.finding import Severity

    code, equals, begun = typed.partition("=")
    if equals:
        return _beginning(begun, [*map(str, Severity), "off"], before=f"{code}=")
    return _beginning(code, {f"{known}=": title for known, title in _titles().items()})


def rule_names(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """A code; or a name, if it begins so."""
    from wheelfuse.auditing.rules import listed

    names = {rule.name: rule.title for rule in listed()} if typed else {}
    return _beginning(typed, _titles() | names)


def questions(context: click.Context, _: click.Parameter, typed: str) -> Items:
    """The questions to a survey."""
    from wheelfuse.surveying.questions import entries

    return _beginning(typed, {entry.question.name: entry.question.title for entry in entries()})


def question_arguments(context: click.Context, _: click.Parameter, typed: str) -> Items:
    """What the question takes that stands before: a CPython, or a version of torch."""
    from wheelfuse.abi import torch

    question = context.params.get("question")
    if question == "breaks-on":
        return _beginning(typed, map(str, ALL_TARGETS))
    return _beginning(typed, torch.versions()) if question == "torch-range" else []


def answer_formats(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """``FORMAT``, and after an equals sign a file."""
    from wheelfuse.report.survey_formats import FORMATS

    name, equals, file = typed.partition("=")
    return paths(file, before=f"{name}=") if equals else _beginning(name, FORMATS)


def surveyed(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """Wheels and directories; and the word that asks a survey."""
    ask = {"ask": "ask a survey that is there"}
    return [*_beginning(typed, ask), *paths(typed, (".whl",))]


def directories(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """Directories."""
    return paths(typed, files=False)


def levels(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """What ``--fail-on`` takes."""
    from wheelfuse.auditing.options import FAIL_ON

    return _beginning(typed, FAIL_ON)


def formats(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """``FORMAT``, and after an equals sign a file."""
    from wheelfuse.report.audit_formats import FORMATS

    name, equals, file = typed.partition("=")
    return paths(file, before=f"{name}=") if equals else _beginning(name, FORMATS)


def wheels(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """Wheels, and directories."""
    return paths(typed, (".whl",))


def audited(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """Wheels, shared objects, zip files, and directories."""
    return paths(typed, _SHARED_OBJECTS)


def files(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """Any file, for what takes a name that click does not know for one of a file."""
    return paths(typed)


def sources(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """What `compile` compiles, and directories."""
    return paths(typed, _SOURCES)


def paths(typed: str, suffixes: tuple[str, ...] = ("",), *, before: str = "", files: bool = True) -> Items:
    """Files with these suffixes, and directories, with a slash; hidden ones only if a dot is typed."""
    directory, slash, begun = typed.rpartition("/")
    try:
        with os.scandir(os.path.expanduser(directory + slash) or ".") as entries:  # noqa: PTH111
            found = sorted(_named(entry, suffixes, files=files) for entry in entries)
    except OSError:
        return []
    hidden = begun.startswith(".")
    return [
        CompletionItem(f"{before}{directory}{slash}{name}", type=PATH)
        for name in found
        if name.startswith(begun) and (hidden or not name.startswith(".")) and name
    ]


def _named(entry: os.DirEntry[str], suffixes: tuple[str, ...], *, files: bool) -> str:
    with suppress(OSError):
        if entry.is_dir():
            return f"{entry.name}/"
    return entry.name if files and entry.name.endswith(suffixes) else ""


def _titles() -> dict[str, str]:
    from wheelfuse.auditing.rules import listed

    return {rule.code: rule.title for rule in listed()}


def _listed(typed: str, known: Iterable[str]) -> Items:
    """One more of a list with commas, in which each stands once."""
    before, comma, begun = typed.rpartition(",")
    there = set(before.split(","))
    titles = known if isinstance(known, dict) else dict.fromkeys(known, "")
    left = {name: title for name, title in titles.items() if name not in there}
    return _beginning(begun, left, before=f"{before}{comma}")


def _beginning(begun: str, known: Iterable[str], *, before: str = "") -> Items:
    """Those of the names, which may have a title each, that begin so."""
    titles = known if isinstance(known, dict) else {}
    return [
        CompletionItem(f"{before}{name}", help=titles.get(name) or None)
        for name in known
        if name.startswith(begun)
    ]


def expanded(items: Iterable[CompletionItem]) -> Iterator[CompletionItem]:  # type: ignore[type-arg,unused-ignore]
    """The items, with the files in place of those by which click says that some shell shall find them."""
    for item in items:
        if item.type in ("file", "dir"):
            yield from paths(item.value, files=item.type == "file")
        else:
            yield item
