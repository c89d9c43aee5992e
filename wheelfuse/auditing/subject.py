"""What is audited: one wheel, file, directory or installed distribution, as facts. Rules read nothing else."""

from __future__ import annotations

import enum
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import TypeVar

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from wheelfuse.abi.cpython import has_table, is_cpython_symbol
from wheelfuse.abi.modules import ModuleName, extension_module, loads, picks
from wheelfuse.abi.producers import Producers
from wheelfuse.abi.tree import Tree
from wheelfuse.elf.fatbin import DeviceCode
from wheelfuse.elf.image import Image
from wheelfuse.errors import Problem
from wheelfuse.target import ALL_TARGETS, Target
from wheelfuse.wheel.metadata import Headers, WheelFile
from wheelfuse.wheel.name import Platform, WheelName, accepting
from wheelfuse.wheel.requirements import requirements_of
from wheelfuse.wheel.requires_python import admits
from wheelfuse.wheel.wheel import Statements

_T = TypeVar("_T")


class Kind(enum.Enum):
    """What was given."""

    WHEEL = "wheel"
    FILE = "file"
    DIRECTORY = "directory"
    DISTRIBUTION = "distribution"


@dataclass(frozen=True)
class SharedObject:
    """One ELF file: what it says of itself, what made it, and the GPU code in it. ``size`` in bytes.

    ``damaged_code`` tells why the GPU code cannot be read; empty if it can, or if there is none.
    """

    path: str
    size: int
    image: Image
    producers: Producers = field(default_factory=Producers)
    device_code: DeviceCode = field(default_factory=DeviceCode)
    damaged_code: str = ""

    @cached_property
    def module(self) -> ModuleName | None:
        """The extension module that import takes the file for, or None: a library."""
        return extension_module(self.path, self.image)

    @cached_property
    def has_to_do_with_python(self) -> bool:
        """Whether it defines an init function or the like, or needs anything that is spelt like CPython's."""
        exports, imports = self.image.exports, self.image.imported
        return any(name.startswith("Py") for name in exports) or any(map(is_cpython_symbol, imports))


@dataclass(frozen=True)
class Against:
    """What else the user wants an input held against.

    *project* is the path of a pyproject.toml (for messages) and *requires_python* what it asks for, empty if
    there is none. *baseline*: path of a file in the input -> kind of symbol -> how many it may have at most;
    None without ``--baseline``. *libraries*: file name or soname -> the library that ``--with`` found for real.
    """

    project: str = ""
    requires_python: str = ""
    baseline: Mapping[str, Mapping[str, int]] | None = None
    libraries: Mapping[str, Image] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """One audited input.

    ``label`` is the name that reports use. ``name`` is there for wheels alone. ``interpreter_tags`` and
    ``platforms`` are what the file name (or, once installed, WHEEL) claims; empty where nothing claims
    anything. ``sizes`` has every file: path -> bytes; ``packed`` what each takes in the wheel, in their order, and
    nothing where there is no wheel. ``problems`` are contradictions among name, RECORD, WHEEL and METADATA;
    ``unreadable`` is what could not be read at all, a damaged zip or ELF file, so that nothing else is known of it.
    Both become findings. ``size`` is that of the wheel file in bytes, 0 for other kinds. ``only``
    limits the claim to one CPython: the one into which a distribution is installed. ``preloads`` says whether Python
    code of the input opens libraries by itself, so that one may be loaded before it is needed; True if not known;
    ``opens_globally`` whether it does so for all modules to see (RTLD_GLOBAL).
    """

    label: str
    kind: Kind
    name: WheelName | None = None
    interpreter_tags: tuple[tuple[str, str], ...] = ()
    platforms: tuple[str, ...] = ()
    dist_info: str = ""
    wheel_file: WheelFile | None = None
    metadata: Headers | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, SharedObject] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    unreadable: tuple[Problem, ...] = ()
    size: int = 0
    only: Target | None = None
    against: Against = field(default_factory=Against)
    preloads: bool = True
    opens_globally: bool = False
    packed: Sequence[int] = ()

    @classmethod
    def of_wheel(
        cls,
        label: str,
        said: Statements,
        files: Mapping[str, SharedObject],
        size: int,
        problems: Iterable[Problem] = (),
        unreadable: Iterable[Problem] = (),
    ) -> Subject:
        """The wheel of *size* bytes that says this of itself; *problems* are further ones."""
        return cls(
            label,
            Kind.WHEEL,
            name=said.name,
            interpreter_tags=said.name.interpreter_tags,
            platforms=said.name.platforms,
            dist_info=said.dist_info,
            wheel_file=said.wheel_file,
            metadata=said.metadata,
            sizes={member.path: member.size for member in said.members.values()},
            files=files,
            problems=(*said.problems, *problems),
            unreadable=tuple(unreadable),
            size=size,
            packed=array("Q", (member.compressed_size for member in said.members.values())),
        )

    @property
    def refused(self) -> bool:
        """Whether nothing at all is known of it, and nothing can be said."""
        return bool(self.unreadable) and not (self.sizes or self.files or self.name)

    @property
    def requires_python(self) -> str:
        """The value of Requires-Python; empty if there is none, or if it cannot be read (a finding says so)."""
        found = self.metadata.get_all("Requires-Python") if self.metadata else ()
        try:
            SpecifierSet(found[0].flat if found else "")
        except InvalidSpecifier:
            return ""
        return found[0].flat if found else ""

    @cached_property
    def requirements(self) -> tuple[Requirement, ...]:
        """The Requires-Dist fields that can be read."""
        return requirements_of(self.metadata) if self.metadata else ()

    @property
    def release(self) -> tuple[str, str]:
        """What the inputs of one release share: normalised project name and version; the label where unknown."""
        return self.name.project if self.name else (self.label, "")

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """The CPythons that would take this: by tags and Requires-Python; without tags, those whose files are here."""
        if self.refused:
            return ()
        if self.only:
            return (self.only,)
        if self.interpreter_tags:
            claimed = accepting(self.interpreter_tags)
        else:
            own = {file.module.target for file in self.files.values() if file.module and file.module.target}
            open_ = not own or any(f.module and not f.module.target for f in self.files.values())
            claimed = tuple(t for t in ALL_TARGETS if t in own or (open_ and not own and has_table(t)))
        return tuple(target for target in claimed if admits(self.requires_python, target))

    @cached_property
    def known_targets(self) -> tuple[Target, ...]:
        """Those of the targets that have been released, as far as the symbol table knows."""
        return tuple(filter(has_table, self.targets))

    @cached_property
    def tree(self) -> Tree:
        """The shared objects with what links what. Paths are those in the wheel."""
        return Tree({path: file.image for path, file in self.files.items()})

    @property
    def modules(self) -> Mapping[str, tuple[ModuleName, ...]]:
        """The files of each extension module, by its path without suffix where it is installed."""
        return self.tree.modules

    @cached_property
    def paths_of_modules(self) -> Mapping[str, tuple[str, ...]]:
        """The paths of the files of each extension module, by the same keys."""
        found: dict[str, tuple[str, ...]] = {}
        for path, file in sorted(self.files.items()):
            if file.module:
                found[file.module.key] = (*found.get(file.module.key, ()), path)
        return found

    def picked(self, key: str, target: Target) -> str | None:
        """The path of the file that a CPython imports for a module; None if it finds none.

        It may find one that it cannot load: 3.13t takes ``.abi3.so`` and fails.
        """
        ranked = []
        for path in self.paths_of_modules.get(key, ()):
            module = self.files[path].module
            order = picks(target, module) if module else None
            if order is not None:
                ranked.append((order, path))
        return min(ranked)[1] if ranked else None

    @cached_property
    def loaders(self) -> Mapping[str, tuple[Target, ...]]:
        """The CPythons that load each file, be it as a module or as a library that one links; sorted.

        Libraries that no module links (they are opened by name, if at all) have no entry.
        """
        found: dict[str, set[Target]] = {}
        for key in self.paths_of_modules:
            for target in self.known_targets:
                path = self.picked(key, target)
                module = self.files[path].module if path else None
                if path and module and loads(target, module):
                    for reached in self.tree.reached_from(path):
                        found.setdefault(reached, set()).add(target)
        return {path: tuple(sorted(targets)) for path, targets in found.items()}

    @cached_property
    def linux_platforms(self) -> tuple[Platform, ...]:
        """The platform tags that are Linux ones, as platforms."""
        return tuple(platform for tag in self.platforms if (platform := Platform.parse(tag)))


def once(function: Callable[[Subject], _T]) -> Callable[[Subject], _T]:
    """Keep what a function makes of a subject with that subject, where `cached_property` keeps its values, too."""
    key = f"{function.__module__}.{function.__qualname__}"

    @wraps(function)
    def kept(subject: Subject) -> _T:
        values = vars(subject)
        if key not in values:
            values[key] = function(subject)
        found: _T = values[key]
        return found

    return kept
