"""The road to one file: what stands between a module's per-Python files and abi3, and the libtorch stable ABI.

A road is made for each extension module over all its files, be they in one wheel or in several of one release, and
for each library in a wheel that needs CPython or libtorch itself. Symbols tell what a file needs as compiled; macros
of the full API that only look into structs (``PyTuple_GET_ITEM``) leave none, and only the compiler finds those, under
``Py_LIMITED_API``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from wheelfuse.abi.demangle import demangle, qualified_name
from wheelfuse.abi.limited_api import limited_api_version
from wheelfuse.abi.modules import installed_path, parse_module
from wheelfuse.abi.producers import brings
from wheelfuse.abi.stable import TorchCounterpart, limited_replacement, torch_counterpart
from wheelfuse.abi.torch import version_key
from wheelfuse.auditing import libtorch
from wheelfuse.auditing.cpython_symbols import unlimited
from wheelfuse.auditing.subject import SharedObject, Subject
from wheelfuse.target import Target

OWN_CODE = "the project's own code"
TORCH_PYTHON = "torch_python"
UNKNOWN = "unknown names"
ABI3, TORCH = "abi3", "libtorch stable ABI"


@dataclass(frozen=True)
class Step:
    """Symbols with one cause that have to go, each as (symbol as shown, its replacement or empty).

    ``cause`` is what brings them in: ``pybind11``, ``Cython``, a C++ class such as ``at::Tensor``.
    """

    cause: str
    symbols: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Road:
    """The road of one module: ``goal`` is ``abi3`` or ``libtorch stable ABI``; no steps: no symbol is in the way.

    ``left`` counts the symbols that have no known replacement. ``advice`` are sentences on the way to take.
    """

    subject: str
    module: str
    goal: str
    files: tuple[str, ...]
    steps: tuple[Step, ...]
    advice: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        return sum(not replacement for step in self.steps for _, replacement in step.symbols)

    @property
    def count(self) -> int:
        return sum(len(step.symbols) for step in self.steps)

    @property
    def arrived(self) -> bool:
        """Whether nothing is left to do: no symbol is in the way, and for abi3 the files are named so."""
        modules = [parse_module(path) for path in self.files]
        return not self.steps and (self.goal != ABI3 or all(m is None or bool(m.stable_abi) for m in modules))


@dataclass(frozen=True, eq=False)
class _Part:
    """One file that a road is about, and what it needs."""

    subject: Subject
    path: str

    @property
    def file(self) -> SharedObject:
        return self.subject.files[self.path]

    @property
    def target(self) -> Target | None:
        """The only CPython that imports the file, as far as its name tells."""
        module = self.file.module
        return module.target if module else None

    @property
    def is_stable(self) -> bool:
        """Whether the file is what its suffix claims, abi3 or abi3t, as far as its symbols tell."""
        module = self.file.module
        return bool(module and module.stable_abi) and not unlimited(self.cpython)

    @cached_property
    def cpython(self) -> frozenset[str]:
        return self.subject.tree.unmet(self.path)

    @cached_property
    def torch(self) -> libtorch.TorchNeeds | None:
        return libtorch.needs(self.subject, self.path)


def roads(subjects: Sequence[Subject]) -> tuple[Road, ...]:
    """The roads of all modules and libraries, release by release, in the order of their paths."""
    found = []
    for release in _releases(subjects):
        for parts in _modules(release):
            found += [road for road in (_road_to_abi3(parts), _road_to_torch(parts)) if road]
    return tuple(found)


def _releases(subjects: Sequence[Subject]) -> Iterator[list[Subject]]:
    releases: dict[tuple[str, str], list[Subject]] = defaultdict(list)
    for subject in subjects:
        releases[subject.release].append(subject)
    yield from releases.values()


def _modules(subjects: Sequence[Subject]) -> Iterator[list[_Part]]:
    """The files of each module, and each library, of one release."""
    modules: dict[str, list[_Part]] = defaultdict(list)
    for subject in subjects:
        for path, file in subject.files.items():
            key = f"{file.module.key}\0" if file.module else installed_path(path)
            modules[key].append(_Part(subject, path))
    for _, parts in sorted(modules.items()):
        yield sorted(parts, key=lambda part: (part.target or Target(0), part.path, part.subject.label))


def _road(parts: Sequence[_Part], goal: str, steps: Iterable[Step], advice: Iterable[str]) -> Road:
    module = parts[0].file.module
    labels = sorted({part.subject.label for part in parts})
    name = parts[0].subject.name
    subject = labels[0] if len(labels) == 1 or not name else f"{name.distribution} {name.version}"
    files = tuple(sorted({part.path for part in parts}))
    shown = module.name if module else parts[0].path
    ordered = sorted(steps, key=lambda step: (-len(step.symbols), step.cause))
    return Road(subject, shown, goal, files, tuple(ordered), tuple(advice))


def _steps(causes: dict[str, str], replacements: dict[str, str], shown: dict[str, str]) -> Iterator[Step]:
    """One step for each cause; symbols without a replacement stand first."""
    for cause in set(causes.values()):
        symbols = [symbol for symbol in causes if causes[symbol] == cause]
        symbols.sort(key=lambda symbol: (bool(replacements[symbol]), shown.get(symbol, symbol)))
        yield Step(cause, tuple((shown.get(symbol, symbol), replacements[symbol]) for symbol in symbols))


# --- CPython ---


def _road_to_abi3(parts: Sequence[_Part]) -> Road | None:
    """None for a library that needs nothing of CPython, or nothing outside the limited API."""
    if not any(part.cpython for part in parts):
        return None
    ahead = [part for part in parts if not part.is_stable]
    causes = _causes(ahead)
    if not causes and not parts[0].file.module:
        return None
    replacements = {symbol: _limited(symbol, cause) for symbol, cause in causes.items()}
    return _road(ahead or parts, ABI3, _steps(causes, replacements, {}), _abi3_advice(ahead))


def _causes(parts: Sequence[_Part]) -> dict[str, str]:
    """The symbols outside the limited API, with what brings them in: a tool, if one does in any of the files."""
    causes: dict[str, str] = {}
    for part in parts:
        for symbol in unlimited(part.cpython):
            cause = brings(symbol, part.file.producers)
            # Code in Rust calls the C API through PyO3, which leaves out what the limited API lacks if told to.
            cause = cause or ("PyO3" if part.file.producers.uses("PyO3") else OWN_CODE)
            if causes.get(symbol, OWN_CODE) == OWN_CODE:
                causes[symbol] = cause
    return causes


def _limited(symbol: str, cause: str) -> str:
    replacement = limited_replacement(symbol)
    return str(replacement) if replacement else _MODES.get(cause, "")


_MODES = {
    "Cython": "Cython's limited API mode",
    "nanobind": "nanobind's STABLE_ABI mode",
    "PyO3": "PyO3's feature abi3",
    "SWIG": "SWIG's limited API mode",
}
"""What does away with all that a tool brings in."""

_ROUTES = {
    "pybind11": "pybind11 cannot make code for the limited API; nanobind can, from limited API 3.12 on",
    "Cython": "Cython 3.1 and later: with -DPy_LIMITED_API=0x030N0000 it emits nothing outside the limited API",
    "nanobind": "nanobind: STABLE_ABI in nanobind_add_module(), from limited API 3.12 on",
    "PyO3": "PyO3: the feature abi3-py3N in Cargo.toml",
    "SWIG": "SWIG 4.2 and later: with -DPy_LIMITED_API=0x030N0000 it emits nothing outside the limited API",
    "cffi": "cffi: py_limited_api=True in setup(), with Py_LIMITED_API defined",
}
_WITH_TORCH = (
    "Operators registered with TORCH_LIBRARY need no Python bindings: beside them a small module for the limited API, "
    "which only has to be importable, is enough"
)
_FREE_THREADED = (
    "Free-threaded CPythons load no abi3 file: 3.13t and 3.14t keep files of their own, and from 3.15t on one built "
    "for abi3t (PEP 803) serves"
)
_NANOBIND = 12


def _abi3_advice(parts: Sequence[_Part]) -> Iterator[str]:
    """Which way to take with files that are not stable yet."""
    with_gil = [part for part in parts if not (part.target and part.target.free_threaded)]
    if with_gil:
        for tool, route in _ROUTES.items():
            if any(part.file.producers.uses(tool) for part in with_gil):
                yield route
        if any(part.file.producers.uses("pybind11") and part.torch for part in with_gil):
            yield _WITH_TORCH
        yield from _lowest(with_gil)
    if len(with_gil) < len(parts):
        yield _FREE_THREADED


def _lowest(parts: Sequence[_Part]) -> Iterator[str]:
    """Which limited API would do: the file for the oldest CPython shows what the module cannot do without."""
    oldest = parts[0]
    versions = {symbol: _version(symbol) for symbol in sorted(oldest.cpython)}
    lowest = max(versions.values(), default=2)
    because = [symbol for symbol, version in versions.items() if version == lowest > 2]
    bound = any(part.file.producers.uses(tool) for part in parts for tool in ("pybind11", "nanobind"))
    if bound and lowest < _NANOBIND:
        lowest, because = _NANOBIND, ["nanobind"]
    more = f" and {len(because) - 3} more" if len(because) > 3 else ""
    yield _about_lowest(
        lowest, f", because of {', '.join(because[:3])}{more}" if because else "", oldest.target
    )


def _version(symbol: str) -> int:
    """The minor version whose limited API is the first with a symbol or with its replacement; 2 if there is neither."""
    joined, replacement = limited_api_version(symbol), limited_replacement(symbol)
    versions = [joined[1]] if joined else []
    versions += [replacement.limited_api] if replacement else []
    return min(versions, default=2)


def _about_lowest(lowest: int, reason: str, oldest: Target | None) -> str:
    if oldest is None:
        return f"The lowest limited API that would do is 3.{lowest}{reason}"
    if lowest <= oldest.minor:
        return (
            f"Then one abi3 file for limited API 3.{oldest.minor} would serve CPython {oldest.python_version} and "
            f"later (3.{lowest} is the lowest that would do{reason})"
        )
    kept = oldest.python_version + (f" to 3.{lowest - 1}" if lowest - 1 > oldest.minor else "")
    return (
        f"Then one abi3 file for limited API 3.{lowest} would serve CPython 3.{lowest} and later{reason}; "
        f"{kept} would keep per-Python files"
    )


# --- libtorch ---


def _road_to_torch(parts: Sequence[_Part]) -> Road | None:
    """None for files that have nothing to do with libtorch."""
    needed = [part.torch for part in parts if part.torch]
    if not any(found.names for found in needed):
        return None
    causes: dict[str, str] = {}
    for found in needed:
        causes |= dict.fromkeys(found.torch_python, TORCH_PYTHON)
        causes |= {symbol: _class(symbol) for symbol in (*found.unstable, *found.templates)}
        causes |= dict.fromkeys(found.unknown, UNKNOWN)
    counterparts = {symbol: torch_counterpart(symbol) for symbol in causes}
    replacements = {symbol: str(found) if found else "" for symbol, found in counterparts.items()}
    floors = [version_key(found.floor) for found in needed if found.floor]
    floors += [found.since for found in counterparts.values() if found and found.since]
    shown = {symbol: _shown(symbol) for symbol in causes}
    advice = [_oldest_torch(max(floors), counterparts.values())] if floors else []
    return _road(parts, TORCH, _steps(causes, replacements, shown), advice)


def _shown(symbol: str) -> str:
    """The readable form; of an operator without its parameters, which follow from its name and fill lines."""
    name = qualified_name(symbol)
    return str(name) if name.scopes[:2] == ("at", "_ops") else demangle(symbol)


def _class(symbol: str) -> str:
    """The class or namespace that a C++ symbol is counted under: ``at::Tensor``, ``c10::cuda``, ``at::_ops``."""
    return "::".join(qualified_name(symbol).scopes[:2])


def _oldest_torch(floor: tuple[int, ...], counterparts: Collection[TorchCounterpart | None]) -> str:
    """Which torch is the first with all of the stable ABI that a module uses, or would use."""
    major, minor = floor
    if not counterparts:
        return f"Torch {major}.{minor} is the first with all that it uses of the stable ABI"
    newest = sorted({found.name for found in counterparts if found and found.since == floor})
    reason = f", because of {', '.join(newest[:3])}" if newest else ""
    return (
        f"Then torch {major}.{minor} would be the oldest that loads it{reason}: build with "
        f"-DTORCH_TARGET_VERSION=0x{major:02x}{minor:02x}000000000000"
    )
