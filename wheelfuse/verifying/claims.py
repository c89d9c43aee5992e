"""What a wheel promises, as far as it can be put to the test: CPythons, extension modules, what it requires."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from wheelfuse.abi.cpython import is_cpython_symbol
from wheelfuse.abi.modules import ModuleName, extension_module, installed_path, parse_module, picks
from wheelfuse.elf.image import MAGIC, Image, read_image
from wheelfuse.target import Target
from wheelfuse.wheel.archive import Archive
from wheelfuse.wheel.limits import DEFAULT_LIMITS, Limits
from wheelfuse.wheel.name import WheelName, accepting
from wheelfuse.wheel.record import RecordEntry
from wheelfuse.wheel.requirements import requirements_of
from wheelfuse.wheel.requires_python import admits
from wheelfuse.wheel.wheel import Wheel, read_wheel


@dataclass(frozen=True)
class ModuleFile:
    """One file of a module. *entry*: its row of RECORD. *name*: how CPythons choose it; None for Python source, which
    all of them take. *is_module*: it has an entry point for import, or needs CPython; a file that has neither is a
    library, which its package opens by name (TORCH_LIBRARY)."""

    entry: RecordEntry
    name: ModuleName | None
    is_module: bool

    @property
    def path(self) -> str:
        """Where it is in the wheel."""
        return self.entry.path

    @property
    def installed(self) -> str:
        """Where it is installed, relative to site-packages."""
        return installed_path(self.path)

    def rank(self, target: Target) -> int | None:
        """How early a CPython tries this file (0: first), or None if it does not know it."""
        return picks(target, self.name) if self.name else 0


@dataclass(frozen=True)
class Module:
    """One module, by its dotted name, with its files for several CPythons."""

    name: str
    files: tuple[ModuleFile, ...]

    @property
    def is_library(self) -> bool:
        """Whether none of the files is for import."""
        return not any(file.is_module for file in self.files)

    def picked(self, target: Target) -> ModuleFile | None:
        """The file that a CPython takes for this module; None if there is none for it."""
        ranked = [(order, file.path, file) for file in self.files if (order := file.rank(target)) is not None]
        return min(ranked, key=lambda item: item[:2])[2] if ranked else None


@dataclass(frozen=True)
class Claims:
    """What one wheel says of itself. *modules* are its extension modules, or if there are none, the packages and
    modules of Python at its top. *installed* are the paths of its files below site-packages."""

    path: Path
    name: WheelName
    requires_python: str
    requirements: tuple[Requirement, ...]
    modules: tuple[Module, ...]
    installed: frozenset[str]

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """The CPythons that tags and Requires-Python let in, those that are not released yet included; sorted."""
        promised = sorted(accepting(self.name.interpreter_tags))
        return tuple(target for target in promised if admits(self.requires_python, target))

    @property
    def itself(self) -> str:
        """The requirement that this release alone satisfies."""
        return f"{self.name.distribution}=={self.name.version}"

    def required(self, target: Target, version: str) -> tuple[str, ...]:
        """The distributions (normalised names) that it requires on a CPython of this full version."""
        environment = {
            "python_version": target.python_version,
            "python_full_version": version,
            "implementation_version": version,
            "extra": "",
        }
        return tuple(
            str(canonicalize_name(requirement.name))
            for requirement in self.requirements
            if requirement.marker is None or requirement.marker.evaluate(environment)
        )

    @cached_property
    def top_level(self) -> frozenset[str]:
        """The names that import knows its packages and modules by."""
        return frozenset(path.split("/")[0].split(".")[0] for path in self.installed)

    @cached_property
    def file_names(self) -> frozenset[str]:
        """The last parts of all its paths."""
        return frozenset(path.rpartition("/")[2] for path in self.installed)


def read_claims(path: Path, limits: Limits = DEFAULT_LIMITS) -> Claims:
    """Read what the wheel at *path* says of itself.

    Raises:
        InvalidInput: it is no wheel, is beyond the *limits*, contradicts itself, or has a damaged shared object.
    """
    with Archive(path, limits) as archive:
        wheel = read_wheel(archive)
        return Claims(
            path.absolute(),
            wheel.name,
            wheel.requires_python,
            requirements_of(wheel.metadata),
            _extension_modules(archive, wheel) or _packages(wheel),
            frozenset(map(installed_path, wheel.members)),
        )


def _extension_modules(archive: Archive, wheel: Wheel) -> tuple[Module, ...]:
    found: dict[str, list[ModuleFile]] = {}
    for path, member in wheel.members.items():
        if member.is_symlink or not _importable(parse_module(path)):
            continue
        with archive.content_beginning(member, MAGIC) as content:
            image = read_image(content) if content is not None else None
        if name := extension_module(path, image):
            file = ModuleFile(wheel.record[path], name, bool(image and _uses_cpython(image)))
            found.setdefault(name.name, []).append(file)
    return tuple(Module(name, tuple(files)) for name, files in sorted(found.items()))


def _packages(wheel: Wheel) -> tuple[Module, ...]:
    """The outermost packages that have an ``__init__.py``, and the modules at the top."""
    # sorted, so that of pkg.py and pkg/__init__.py the second counts, as for import
    paths = sorted(path for path in wheel.members if path.endswith(".py"))
    sources = {installed_path(path).removesuffix(".py").removesuffix("/__init__"): path for path in paths}
    packages = {name for name, path in sources.items() if path.endswith("/__init__.py")}
    outermost = [
        name
        for name in sources
        if (name in packages or "/" not in name)
        and packages.isdisjoint(map(str, PurePosixPath(name).parents))
        and all(map(str.isidentifier, name.split("/")))
    ]
    return tuple(
        Module(name.replace("/", "."), (ModuleFile(wheel.record[sources[name]], None, True),))
        for name in sorted(outermost)
    )


def _importable(name: ModuleName | None) -> bool:
    """Whether import can get there: no directory above may have a dot in its name (``pkg.libs/``)."""
    return name is not None and "." not in name.key


def _uses_cpython(image: Image) -> bool:
    return any(map(is_cpython_symbol, image.imported)) or any(
        symbol.startswith(("PyInit", "PyModExport")) for symbol in image.exports
    )
