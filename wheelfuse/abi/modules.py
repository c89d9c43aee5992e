"""Extension modules by file name: which suffix, for which CPythons (importlib's EXTENSION_SUFFIXES)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wheelfuse.elf.image import Image
from wheelfuse.target import Target
from wheelfuse.wheel.name import floors

_NAME = re.compile(
    r"(?P<stem>(?:.*/)?[^/.]+)"
    r"(?P<suffix>\.(?:cpython-3\d+t?|abi3t?)(?:-(?P<multiarch>[A-Za-z0-9_-]+))?\.so|\.so)"
)
_IN_SITE_PACKAGES = re.compile(r"[^/]+\.data/(?:purelib|platlib)/")


def installed_path(path: str) -> str:
    """Where a path of a wheel ends up in site-packages: purelib and platlib are one place there (PEP 427)."""
    return _IN_SITE_PACKAGES.sub("", path, count=1) if ".data/" in path else path


@dataclass(frozen=True)
class ModuleName:
    """A path that import may find as an extension module: path up to the suffix, and the suffix."""

    stem: str
    suffix: str
    multiarch: str

    @property
    def name(self) -> str:
        """Dotted name, as import knows it."""
        return self.key.replace("/", ".")

    @property
    def key(self) -> str:
        """The path up to the suffix where it is installed: equal for all files of one module."""
        return installed_path(self.stem)

    @property
    def short(self) -> str:
        """The last part of the name, which the init function carries."""
        return self.stem.rpartition("/")[2]

    @property
    def target(self) -> Target | None:
        """The only CPython that imports it, or None where the suffix is open to several."""
        return Target.of_extension_suffix(self.suffix)

    @property
    def stable_abi(self) -> str:
        """``abi3`` or ``abi3t`` if the suffix claims the stable ABI, else empty."""
        match = re.match(r"\.(abi3t?)\b", self.suffix)
        return match[1] if match else ""

    def soabi_path(self, target: Target, multiarch: str) -> str:
        """The path under which only *target* imports it."""
        return f"{self.stem}.{target.soabi_tag}-{multiarch}.so"


def parse_module(path: str) -> ModuleName | None:
    """The module name of a path with an extension suffix, or None. ``.so`` alone does not make a module yet."""
    match = _NAME.fullmatch(path) if path.endswith(".so") else None
    if not match or ".dist-info/" in path:
        return None
    return ModuleName(match["stem"], match["suffix"], match["multiarch"] or "")


def extension_module(path: str, image: Image | None) -> ModuleName | None:
    """The module name of a file that import can load: a specific suffix, or ``.so`` with the init function."""
    module = parse_module(path)
    if module is None or (module.suffix == ".so" and not (image and image.initialises(module.short))):
        return None
    return module


_BYTECODE = re.compile(
    r"(?P<package>(?:.*/)?)__pycache__/(?P<module>[^/]+)\.cpython-3(?P<minor>\d+)(?:\.opt-\w+)?\.pyc"
)


@dataclass(frozen=True)
class Bytecode:
    """A cache of bytecode (PEP 3147): the source it was made from, and the minor version that reads it."""

    source: str
    minor: int


def parse_bytecode(path: str) -> Bytecode | None:
    """What a path in ``__pycache__`` is the cache of; None for other paths."""
    match = _BYTECODE.fullmatch(path) if path.endswith(".pyc") else None
    return Bytecode(f"{match['package']}{match['module']}.py", int(match["minor"])) if match else None


def is_tagged_bytecode(path: str) -> bool:
    """Whether only CPythons of one version read this file."""
    return parse_bytecode(path) is not None


def picks(target: Target, module: ModuleName) -> int | None:
    """How early a CPython tries this suffix (0: first), or None if it does not know it.

    Measured on CPython 3.8 to 3.15: the SOABI suffix first, the stable ABI's next, ``.so`` last. Those of abi3t,
    and those that name a machine, came with 3.15.
    """
    if module.target:
        return 0 if module.target == target else None
    if module.suffix == ".so":
        return 3
    if target.minor < 15 and module.suffix != ".abi3.so":
        return None
    if module.stable_abi == "abi3":
        return None if target.free_threaded and target.minor >= 15 else 1
    return 2


def loads(target: Target, module: ModuleName) -> bool:
    """Whether a CPython that tries this file can load it.

    3.13t and 3.14t list ``.abi3.so``, but a module for the GIL's stable ABI raises SystemError there.
    """
    return picks(target, module) is not None and not (target.free_threaded and module.stable_abi == "abi3")


_TRIPLETS = {
    "x86_64": "x86_64-linux-gnu",
    "aarch64": "aarch64-linux-gnu",
    "i686": "i386-linux-gnu",
    "armv7l": "arm-linux-gnueabihf",
    "ppc64le": "powerpc64le-linux-gnu",
    "s390x": "s390x-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "loongarch64": "loongarch64-linux-gnu",
}


def multiarch(machine: str, libc: str, target: Target) -> str | None:
    """The multiarch part of SOABI, from configure's PLATFORM_TRIPLET; None for machines that are not known.

    CPython tells musl apart since 3.11; before, its builds on musl called themselves ``gnu``.
    """
    triplet = _TRIPLETS.get(machine)
    if triplet and libc == "musl" and target.minor >= 11:
        return triplet.replace("-gnu", "-musl")
    return triplet


def multiarchs_for(platforms: tuple[str, ...], target: Target, libc: str = "") -> frozenset[str]:
    """What the multiarch part of a CPython's suffixes is where these platform tags hold; empty if not known.

    *libc* is assumed where a tag (``linux_x86_64``) names none.
    """
    known = set()
    for floor in floors(platforms):
        library = libc if floor.libc == "unknown" else floor.libc
        known |= {multiarch(floor.machine, library, target)} if library else set()
    return frozenset(arch for arch in known if arch)


MACHINES = {
    "x86_64": ("EM_X86_64", 64, True),
    "aarch64": ("EM_AARCH64", 64, True),
    "i686": ("EM_386", 32, True),
    "armv7l": ("EM_ARM", 32, True),
    "ppc64le": ("EM_PPC64", 64, True),
    "ppc64": ("EM_PPC64", 64, False),
    "s390x": ("EM_S390", 64, False),
    "riscv64": ("EM_RISCV", 64, True),
    "loongarch64": ("EM_LOONGARCH", 64, True),
}
"""Machine of a platform tag -> e_machine, bits, and whether it is little-endian (gABI, figure 4-2)."""
