"""The symbols that each shared object needs and exports, and where they are there: as far as the audit's tables tell.

A page has room for so many letters. What files need comes first, then what they export, of small files before large
ones; a table that was cut tells so among its facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from wheelfuse.abi import torch
from wheelfuse.abi.cpython import history, is_cpython_symbol, replacements, table
from wheelfuse.abi.demangle import demangle
from wheelfuse.abi.limited_api import limited_api_version
from wheelfuse.abi.platform import lowest_glibc, machine_of
from wheelfuse.abi.stable import limited_replacement, torch_counterpart
from wheelfuse.abi.torch import Kind, classify
from wheelfuse.auditing import cpython_symbols, libtorch, platform
from wheelfuse.auditing.finding import few
from wheelfuse.auditing.linking import linker
from wheelfuse.auditing.subject import SharedObject, Subject
from wheelfuse.elf.symbols import Import
from wheelfuse.report.audit_parts import pythons, versions
from wheelfuse.report.page.model import State, Symbol, SymbolTable
from wheelfuse.sizes import human_size

PRIVATE, FULL, LIMITED = "CPython, private", "CPython, full API", "CPython, limited API"
TORCH, STABLE_TORCH = "libtorch", "libtorch, stable ABI"
GLIBC, CXX, CUDA, OTHER, EXPORTED = "glibc", "C++", "CUDA", "other", "exported"

_ROOM = 3 << 19
"""Letters of all tables of a page; what is equal is written once."""
_SYMBOL, _LISTED = 32, 6
"""Letters that a symbol takes beside its texts, and each file that has it."""
_LONGEST = 200
"""Letters of a readable form; what follows are mostly arguments of templates."""
_SYSTEM = {"GLIBC": GLIBC, "GLIBCXX": CXX, "CXXABI": CXX}


def symbol_tables(subjects: Sequence[Subject], room: int = _ROOM) -> tuple[tuple[SymbolTable, ...], ...]:
    """The tables of all files of each subject, in the order of their paths, with *room* for so many letters."""
    files = [subject.files[path] for subject in subjects for path in sorted(subject.files)]
    left = _Room(room)
    needed = [left.taken(_needed(subject, path)) for subject in subjects for path in sorted(subject.files)]
    exported: dict[int, tuple[Symbol, ...]] = {}
    for number in sorted(range(len(files)), key=lambda number: len(files[number].image.exports)):
        exported[number] = left.taken(map(_exported, sorted(files[number].image.exports)))
    tables = (
        SymbolTable(
            file.path,
            tuple(_facts(file, len(needed[number]), len(exported[number]))),
            (*needed[number], *exported[number]),
        )
        for number, file in enumerate(files)
    )
    return tuple(tuple(next(tables) for _ in subject.files) for subject in subjects)


class _Room:
    """What is left of the letters of a page. Equal symbols are kept once, equal texts count once."""

    def __init__(self, letters: int) -> None:
        self._left = letters
        self._texts: set[str] = set()
        self._symbols: dict[Symbol, Symbol] = {}

    def taken(self, symbols: Iterable[Symbol]) -> tuple[Symbol, ...]:
        """Those of the symbols for which there is room, from the first on; the others are not even made."""
        found: list[Symbol] = []
        if self._left <= 0:
            return ()
        for symbol in symbols:
            known = self._symbols.setdefault(symbol, symbol)
            if known is symbol:
                texts = {symbol.name, symbol.shown, symbol.note, symbol.replacement} - self._texts
                self._left -= sum(map(len, texts)) + _SYMBOL
                self._texts |= texts
            self._left -= _LISTED
            if self._left < 0:
                break
            found.append(known)
        return tuple(found)


def _shown(name: str) -> str:
    """The readable form; empty where that is the name itself."""
    text = demangle(name)
    if text == name:
        return ""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _exported(name: str) -> Symbol:
    return Symbol(name, _shown(name), EXPORTED)


def _needed(subject: Subject, path: str) -> Iterator[Symbol]:
    """The symbols that a file needs, the worst first."""
    wanted = _Wanted(subject, path)
    found = (_of_import(wanted, item) for item in subject.files[path].image.imports)
    order = (State.BAD, State.UNKNOWN, State.PARTLY, State.GOOD)
    yield from sorted(found, key=lambda symbol: (order.index(symbol.state), symbol.group, symbol.name))


class _Wanted:
    """What the tables say of the needs of one file."""

    def __init__(self, subject: Subject, path: str) -> None:
        self.machine = machine_of(subject.files[path].image) or ""
        self.cpython = subject.tree.unmet(path)
        self.lacking = {item.symbol: item for item in cpython_symbols.missing(subject, path)}
        self.torch = libtorch.needs(subject, path) or libtorch.TorchNeeds()
        self.of_torch = frozenset(self.torch.names)
        problems = linker(subject).linked(path).symbols
        self.undefined = {problem.symbol: problem for problem in problems if problem.by == path}
        self.promised = {
            tag.machine: tag.version for tag in platform.claimed(subject) if tag.libc == "glibc"
        }.get(self.machine)


def _of_import(wanted: _Wanted, item: Import) -> Symbol:
    if item.name in wanted.of_torch:
        return _of_torch(wanted, item)
    if is_cpython_symbol(item.name) and (item.weak or item.name in wanted.cpython):
        return _of_cpython(wanted, item)
    return _of_others(wanted, item)


def _of_cpython(wanted: _Wanted, item: Import) -> Symbol:
    name, lacking = item.name, wanted.lacking.get(item.name)
    group, gone, replacement = _cpython(name)
    if lacking and not item.weak:
        state = State.BAD if lacking.certain else State.UNKNOWN
        return Symbol(name, "", group, item.version, state, _beside(name, lacking.message), replacement)
    state = State.PARTLY if gone and group == PRIVATE else State.GOOD
    note = "; ".join(filter(None, (gone, "weak: may be missing" * item.weak)))
    return Symbol(name, "", group, item.version, state, note, replacement)


@cache
def _cpython(name: str) -> tuple[str, str, str]:
    """Group of a symbol of CPython, the CPythons that do not have it, and what stands for it."""
    known = history(name)
    limited = limited_api_version(name)
    if limited:
        return LIMITED, f"since limited API 3.{limited[1]}" if limited[1] > 2 else "", ""
    group = PRIVATE if name.startswith("_") else FULL
    lacking = [target for target in table().columns if known and target not in known.targets]
    stands = limited_replacement(name) or replacements().get(name, "")
    return group, f"not in {pythons(lacking)}" if lacking else "", str(stands)


def _beside(name: str, message: str) -> str:
    """What a message says of a symbol that stands beside it."""
    return message.removeprefix(f"`{name}` is ")


def _of_torch(wanted: _Wanted, item: Import) -> Symbol:
    name, having = item.name, torch.exported_in(item.name)
    group = STABLE_TORCH if name in wanted.torch.stable else TORCH
    counterpart = torch_counterpart(name) if group == TORCH else None
    if name in wanted.torch.unproved:
        state, note = State.UNKNOWN, "only builds of torch for other GPUs can have it"
    elif not having:
        state, note = State.BAD, "no known torch exports it"
    elif having == torch.versions():
        state, note = State.GOOD, ""
    else:
        state, note = State.PARTLY, f"torch {versions(having)}"
    return Symbol(name, _shown(name), group, item.version, state, note, str(counterpart or ""))


def _of_others(wanted: _Wanted, item: Import) -> Symbol:
    group = _SYSTEM.get(item.version.partition("_")[0]) or _by_name(item.name)
    state, note = State.GOOD, "weak: may be missing" if item.weak else ""
    problem = wanted.undefined.get(item.name)
    if problem and not item.weak:
        state = State.BAD if problem.certain else State.UNKNOWN
        note = "nothing in sight is known to define it"
        if where := problem.elsewhere or problem.may:
            note += f"; {'out of reach' if problem.elsewhere else 'perhaps'}: {few(where)}"
    elif item.version and wanted.promised:
        lowest = lowest_glibc(item.version, wanted.machine)
        if lowest is None or lowest > wanted.promised:
            state, note = (
                State.BAD,
                f"not in glibc {'.'.join(map(str, wanted.promised))}, which the tag promises",
            )
    return Symbol(item.name, _shown(item.name), group, item.version, state, note)


def _by_name(name: str) -> str:
    if classify(name) is Kind.CUDA:
        return CUDA
    return CXX if name.startswith("_Z") else OTHER


def _facts(file: SharedObject, needed: int, exported: int) -> Iterator[tuple[str, str]]:
    """What else is known of a file, a line each; nothing of what is not."""
    image, made = file.image, file.producers
    yield "size", human_size(file.size)
    yield "machine", machine_of(image) or image.machine
    texts = (
        ("module", file.module.name if file.module else ""),
        ("soname", image.soname),
        ("needs", ", ".join(image.needed)),
        ("RPATH" if image.has_rpath else "RUNPATH", ":".join(image.runpath)),
        ("made with", ", ".join(made.tools)),
        ("compilers", ", ".join(made.compilers)),
        ("opens by name", ", ".join(made.opens)),
        ("GPU code", ", ".join(file.device_code.architectures) or file.damaged_code),
    )
    yield from ((name, text) for name, text in texts if text)
    for name, total, listed in (
        ("needed symbols", len(image.imports), needed),
        ("exported symbols", len(image.exports), exported),
    ):
        yield name, f"{total}" if listed == total else f"{total}, of which {listed} are listed"
