"""What the files of a subject need of CPython, and what of it the CPythons that load them do not give."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wheelfuse.abi.cpython import ImportProblem, check_imports, exports, has_table, history, table
from wheelfuse.abi.limited_api import limited_api_version
from wheelfuse.auditing.subject import SharedObject, Subject
from wheelfuse.target import Target
from wheelfuse.wheel.requires_python import admits

_ENTRY_POINT = re.compile(r"(?:PyInitU?|PyModExportU?)_\w+")


@dataclass(frozen=True)
class Missing:
    """A symbol that *targets*, which load the file, do not export; *certain* unless something else may define it."""

    symbol: str
    targets: tuple[Target, ...]
    message: str
    certain: bool


def loaders(subject: Subject, path: str) -> tuple[Target, ...]:
    """The CPythons that load a file and whose exports are known: that of its suffix, whatever the tags say, or all
    that find it by import or as a library that a module links."""
    module = subject.files[path].module
    if module and module.target:
        return (module.target,) if has_table(module.target) else ()
    return subject.loaders.get(path, ())


def missing(subject: Subject, path: str) -> tuple[Missing, ...]:
    """What CPythons do not give a file, sorted by symbol.

    A library that no module links is opened by name, if at all: of it only what none of them has counts.
    """
    targets = loaders(subject, path)
    alone = not targets and subject.files[path].module is None
    found: dict[str, dict[Target, ImportProblem]] = {}
    for target in subject.known_targets if alone else targets:
        for problem in check_imports(asked(subject, path), target):
            found.setdefault(problem.symbol, {})[target] = problem
    return tuple(
        Missing(
            symbol,
            tuple(sorted(problems)),
            min(problems.items())[1].message,
            not alone
            and all(problem.certain for problem in problems.values())
            and not subject.tree.may_come_from_elsewhere(path, symbol),
        )
        for symbol, problems in sorted(found.items())
        if not alone or len(problems) == len(subject.known_targets)
    )


def support_libraries(subject: Subject, path: str) -> tuple[str, ...]:
    """The libraries from elsewhere, linked by a file, that may define functions of CPython for modules of the stable
    ABI, as their names tell (``libshiboken6.abi3.so.6.12``); those that ``--with`` found are no guess."""
    unseen = _from_elsewhere(subject, path) - subject.against.libraries.keys()
    return tuple(sorted(name for name in unseen if ".abi3" in name))


def asked(subject: Subject, path: str) -> frozenset[str]:
    """What a file asks of CPython: what is spelt so and no library defines that it links, as far as these are known."""
    found = subject.against.libraries
    seen = (found[name].exports for name in _from_elsewhere(subject, path) if name in found)
    return subject.tree.unmet(path).difference(*seen)


def _from_elsewhere(subject: Subject, path: str) -> frozenset[str]:
    tree = subject.tree
    linked = (edge for other in tree.reached_from(path) for edge in tree.edges(other))
    return frozenset(name for name, providers in linked if not providers)


def satisfied(names: Iterable[str]) -> tuple[Target, ...]:
    """The known CPythons that export all of *names* that any of them exports."""
    known = frozenset(filter(history, names))
    return tuple(target for target in table().columns if known <= exports(target))


def unlimited(names: Iterable[str]) -> tuple[str, ...]:
    """Those of CPython's symbols that are in the limited API of no version, sorted."""
    return tuple(sorted(name for name in names if history(name) and limited_api_version(name) is None))


def defined_entry_points(file: SharedObject) -> tuple[str, ...]:
    """The init functions and export hooks (PEP 793) that a file defines, sorted."""
    return tuple(sorted(filter(_ENTRY_POINT.fullmatch, file.image.exports)))


@dataclass(frozen=True)
class StableClaim:
    """That a file keeps to a stable ABI: which one (``abi3``, ``abi3t``), and from which 3.*minor* on.

    *tagged* is the minor version of the tag, *oldest* that of the oldest CPython which may install the file; None
    where nothing states tags. *by_name*: the suffix of the file says so, and not the wheel's tag alone.
    """

    abi: str
    tagged: int | None
    oldest: int | None
    by_name: bool


def stable_claims(subject: Subject) -> Iterator[tuple[str, StableClaim]]:
    """The files that claim to keep to a stable ABI, by their suffix or, without one, by the wheel's tags."""
    abis = {abi for _, abi in subject.interpreter_tags}
    for path, file in sorted(subject.files.items()):
        module = file.module
        if module is None or module.target:
            continue
        if module.stable_abi:
            yield path, _claim(subject, module.stable_abi, True)
        elif abis and abis <= {"abi3", "abi3t"}:
            yield path, _claim(subject, max(abis), False)


def _claim(subject: Subject, abi: str, by_name: bool) -> StableClaim:
    minors = [
        int(match[1])
        for python, tag in subject.interpreter_tags
        if tag in ("abi3", "abi3t") and (match := re.fullmatch(r"cp3(\d+)", python))
    ]
    tagged = min(minors, default=None)
    if tagged is None:
        oldest = min((target.minor for target in subject.targets), default=None)
        return StableClaim(abi, None, oldest if subject.interpreter_tags else None, by_name)
    # 17 is the newest that tags are proved against; a bound beyond it lets no known CPython in.
    oldest = next((m for m in range(tagged, 18) if admits(subject.requires_python, Target(m))), tagged)
    return StableClaim(abi, tagged, oldest, by_name)
