"""Will it load? What the dynamic linker and CPython make of a file, and why it fails where it does.

What the dynamic linker has to say is in :mod:`wheelfuse.auditing.linking`; here the interpreter's part joins it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from wheelfuse.abi import torch
from wheelfuse.abi.cpython import exports, has_table, history
from wheelfuse.abi.modules import (
    MACHINES,
    ModuleName,
    loads,
    multiarchs_for,
    parse_module,
    picks,
)
from wheelfuse.abi.providers import Source
from wheelfuse.auditing.finding import clipped
from wheelfuse.auditing.linking import Linked, SymbolProblem, linker
from wheelfuse.auditing.report import Outcome
from wheelfuse.auditing.subject import Subject
from wheelfuse.elf.image import Image, entry_points
from wheelfuse.errors import InvalidInput
from wheelfuse.target import Target

_FIRST_EXPORT_HOOK = 15  # of PEP 793


@dataclass(frozen=True)
class Verdict:
    """What becomes of a file on one CPython. ``reasons`` are empty where it loads, or would with what is assumed.

    ``assumed`` are libraries that must come from elsewhere, each with who supplies it.
    """

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


def load(subject: Subject, path: str, target: Target) -> Verdict:
    """What becomes of importing the file *path* of *subject* on *target*, or of opening it, if it is no module.

    A file whose suffix that CPython does not know is MISSING. The file alone is judged: that the CPython picks it
    among several, and that the Python code of its package succeeds, is taken for granted.
    """
    file = subject.files.get(path)
    module = module_of(subject, path)
    if module and not _is_known_suffix(subject, module, target):
        return Verdict(Outcome.MISSING, (f"{target} imports no file that ends in {module.suffix}",))
    if file is None:
        return _unreadable(subject, path)
    linked = linker(subject).linked(path)
    reasons = [
        *_refusals(subject, file.image, module, target),
        *_link_reasons(linked),
        *_python_reasons(subject, linked, target),
    ]
    assumed = tuple(map(str, linked.outside))
    failing = tuple(dict.fromkeys(text for certain, text in reasons if certain))
    if failing:
        return Verdict(Outcome.FAILS, failing, assumed)
    if open_ := tuple(dict.fromkeys(text for _, text in reasons)):
        return Verdict(Outcome.UNPROVED, open_, assumed)
    return Verdict(Outcome.SUPPLIED if assumed else Outcome.LOADS, (), assumed)


def module_of(subject: Subject, path: str) -> ModuleName | None:
    """The module that a file is. One that has no init function and asks nothing of CPython is none, whatever its name:
    torch.ops.load_library opens such files (``libtorchaudio.abi3.so``)."""
    file = subject.files.get(path)
    if file is None:
        return parse_module(path)
    return file.module if file.has_to_do_with_python or file.image.kind != "ET_DYN" else None


def imported_modules(subject: Subject) -> tuple[str, ...]:
    """The files that some CPython of the subject imports as a module, sorted."""
    return tuple(path for path in sorted(subject.loaders) if module_of(subject, path))


def _is_known_suffix(subject: Subject, module: ModuleName, target: Target) -> bool:
    """Whether *target* looks for files with this suffix. Those that name the CPython name the machine too."""
    if picks(target, module) is None:
        return False
    known = _multiarchs(subject, target)
    return not known or module.multiarch in known or not (module.multiarch or module.target)


def _multiarchs(subject: Subject, target: Target) -> frozenset[str]:
    try:
        return multiarchs_for(subject.platforms, target)
    except InvalidInput:  # for other systems
        return frozenset()


def _unreadable(subject: Subject, path: str) -> Verdict:
    problem = next((p.what for p in subject.unreadable if p.member == path), "")
    if not problem:
        return Verdict(Outcome.FAILS, (f"{path} is no ELF file",))
    # Loaders do without section headers, and without whatever else is read here but not loaded.
    certain = "segment reaches beyond the end" in problem
    return Verdict(Outcome.FAILS if certain else Outcome.UNPROVED, (f"{path}: {problem}",))


Reason = tuple[bool, str]
"""Whether it is certain, and its text."""


def _refusals(subject: Subject, image: Image, module: ModuleName | None, target: Target) -> Iterator[Reason]:
    """Why the file itself is refused, whatever it links."""
    expected = {MACHINES[p.machine] for p in subject.linux_platforms if p.machine in MACHINES}
    if expected and image.format not in expected:
        yield True, f"a {image.bits}-bit file for {image.machine}, not for the machine of the tags"
    if image.kind != "ET_DYN":
        yield True, f"a program ({image.kind}), not a shared object"
    if module and not loads(target, module):
        yield True, f"{target} refuses modules of the stable ABI of builds with the GIL"
    sought = entry_points(module.short)[: 2 if target.minor >= _FIRST_EXPORT_HOOK else 1] if module else ()
    if sought and image.exports.isdisjoint(sought):
        yield True, f"does not export {' or '.join(sought)}"


def _link_reasons(linked: Linked) -> Iterator[Reason]:
    for library in linked.libraries:
        yield library.certain, str(library)
    for version in linked.versions:
        yield True, str(version)
    settled = linked.torch is None or bool(linked.torch)
    unknown = [o for o in linked.outside if not (settled and torch.LIBRARY.fullmatch(o.needed))]
    for outside in unknown:
        if outside.source is Source.INTERPRETER:  # which may have it built in, and then there is no such file
            yield False, f"{outside.by} needs {outside.needed}, which {outside.supplier} has to supply"
    for certain, text in _symbol_reasons(linked):
        if certain or not (unknown or linked.libraries):  # those may define it, and have been named
            yield certain, text
    if not settled:
        yield False, "no known version of torch exports all the symbols that are left to it"


def _symbol_reasons(linked: Linked) -> Iterator[Reason]:
    """One for each file: the first symbol, and how many there are."""
    groups: dict[tuple[str, bool, tuple[str, ...]], list[SymbolProblem]] = defaultdict(list)
    for problem in linked.symbols:
        groups[problem.by, problem.certain, problem.may or problem.elsewhere].append(problem)
    for (by, certain, where), (first, *more) in groups.items():
        others = f" and {len(more)} more" if more else ""
        hope = "" if certain else f", unless in {' or '.join(where)}"
        yield certain, f"undefined symbol {clipped(first.symbol)}{others} in {by}{hope}"


def _python_reasons(subject: Subject, linked: Linked, target: Target) -> Iterator[Reason]:
    """What the interpreter lacks of what is left to it."""
    if not has_table(target):
        if linked.python:
            yield False, f"what {target} exports is not known"
        return
    for symbol in sorted(linked.python.keys() - exports(target)):
        text = f"undefined symbol {clipped(symbol)} in {linked.python[symbol]}: {target} does not export it"
        by = linked.python[symbol]
        # Micro releases add private symbols; and names like Python's may be those of another distribution's library.
        known = history(symbol) is not None or not symbol.startswith("_")
        yield known and not (by in subject.files and subject.tree.may_come_from_elsewhere(by, symbol)), text
