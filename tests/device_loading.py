"""What a process sees that loads a module with GPU code: the same, whether that lies in the module or in a carrier.

Nothing here knows how wheelfuse edits files. The dynamic linker tells what it binds, pyelftools where the records of
``.nvFatBinSegment`` are, and the process reads through them as the CUDA runtime would. A record is
``__fatBinC_Wrapper_t`` of CUDA's ``fatbinary_section.h``: magic, version, address of a container; in version 2, of what
``-rdc=true`` left to be linked, also that of an array with the addresses of what it was linked from, and a last zero.
The host code fills it when the module is loaded (``crt/link.stub``).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from elftools.elf.elffile import ELFFile

from wheelfuse.elf.fatbin import read_device_code
from wheelfuse.elf.image import read_image

_RECORD = 24  # bytes of a record
_BOUND = re.compile(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: normal symbol `([^']+)'")
_LEAKY = ("PYTHON", "VIRTUAL_ENV", "LD_")
_PROBE = r"""
import ctypes, hashlib, importlib, json, os, struct, sys
root, file, name, use, records, first = json.loads(sys.argv[1])
sys.dont_write_bytecode = True
sys.path.insert(0, root)
try:
    if name:
        module = importlib.import_module(name)
        outcome = [module.__spec__.origin, sorted(vars(module)), repr(eval(use, {name: module})) if use else ""]
    else:
        ctypes.CDLL(file, mode=os.RTLD_NOW)
        outcome = ["loaded"]
except BaseException as error:
    outcome = [type(error).__name__, str(error)]
maps = []
with open("/proc/self/maps") as lines:
    for line in lines:
        addresses, _, _, _, _, *path = line.split(None, 5)
        start, end = (int(address, 16) for address in addresses.split("-"))
        maps.append((start, end, path[0].strip() if path else ""))
def container(at):
    home = next((path for start, end, path in maps if start <= at < end), "")
    if not home:
        return ["nothing", home]
    magic, _, header, size = struct.unpack("<IHHQ", ctypes.string_at(at, 16))
    if magic != 0xBA55ED50:
        return ["no container", home]
    return [hashlib.sha256(ctypes.string_at(at, header + size)).hexdigest(), home]
def pointer(at):
    return ctypes.c_void_p.from_address(at).value or 0
def containers(record):
    yield container(pointer(record + 8))
    version, = struct.unpack("<I", ctypes.string_at(record + 4, 4))
    others = pointer(record + 16) if version == 2 else 0
    while others and pointer(others):
        yield container(pointer(others))
        others += 8
bases = [start - first for start, _, path in maps if path == file]
found = [one for record in records if bases for one in containers(min(bases) + record)]
print(json.dumps([outcome, found]))
"""


@dataclass(frozen=True)
class Module:
    """The shared object *file* below *root*, a directory for ``sys.path``. Import as *name*, or if empty, dlopen."""

    root: Path
    file: str
    name: str = ""

    @property
    def path(self) -> Path:
        return self.root.resolve() / self.file

    def load(self, python: Path, use: str = "", libraries: Sequence[Path] = ()) -> Loaded:
        """Load it in a fresh process of *python*, with LD_BIND_NOW=1.

        *use* is an expression to be evaluated after import; *libraries* are directories for LD_LIBRARY_PATH.
        """
        first, *records = _addresses(self.path)
        asked = json.dumps([str(self.root.resolve()), str(self.path), self.name, use, records, first])
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_LEAKY)}
        with TemporaryDirectory() as logs:
            environment |= {"LD_BIND_NOW": "1", "LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": f"{logs}/of"}
            environment |= {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))} if libraries else {}
            command = [str(python), "-c", _PROBE, asked]
            done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{self.path}: exit status {done.returncode}\n{done.stderr[-4000:]}"
            bound = {
                (symbol, self._told(os.path.realpath(home)))
                for log in Path(logs).iterdir()
                for file, home, symbol in _BOUND.findall(log.read_text())
                if Path(file).resolve() == self.path
            }
        outcome, found = json.loads(done.stdout.splitlines()[-1])
        return Loaded(
            tuple(self._told(str(part)) for part in outcome),
            tuple(digest for digest, _ in found),
            Counter(self._told(home) for _, home in found),
            frozenset(bound),
        )

    def _told(self, text: str) -> str:
        """A text that does not depend on where the root is."""
        return text.replace(str(self.root.resolve()), "ROOT")


@dataclass(frozen=True)
class Loaded:
    """What a process saw. Paths below the root of the module start with ``ROOT``.

    *outcome* is what import or dlopen gave, or the exception. *containers* are the SHA-256 of what the records refer
    to, one by one, and *homes* tells how many of those are mapped from which file. *bound* has the symbols that the
    dynamic linker bound for the module, with the file of each.
    """

    outcome: tuple[str, ...]
    containers: tuple[str, ...]
    homes: Counter[str]
    bound: frozenset[tuple[str, str]]


def check_loading(
    python: Path,
    original: Module,
    edited: Module,
    carrier: str,
    use: str = "",
    libraries: Sequence[Path] = (),
) -> Loaded:
    """Load a module as it was, and as it is with *carrier*, a path below its root; what a process saw of the latter.

    Raises:
        AssertionError: import differs, a symbol of the module is bound to something else than before, that of the
            carrier is not bound to the carrier, or a record refers to other bytes.
    """
    before, after = (module.load(python, use, libraries) for module in (original, edited))
    assert after.outcome == before.outcome, f"outcome {after.outcome} instead of {before.outcome}"
    (symbol,) = _exported(edited.root / carrier)
    new, lost = after.bound - before.bound, before.bound - after.bound
    assert new == {(symbol, f"ROOT/{carrier}")}, f"bound otherwise: {sorted(new)}"
    assert not lost, f"no longer bound: {sorted(lost)}"
    assert set(before.containers) == _digests(original.path), "not all containers have a record"
    assert after.containers == before.containers, "other containers"
    assert before.homes.keys() == {f"ROOT/{original.file}"}, f"containers are in {before.homes}"
    assert after.homes.keys() <= {f"ROOT/{edited.file}", f"ROOT/{carrier}"}, (
        f"containers are in {after.homes}"
    )
    assert after.homes[f"ROOT/{carrier}"], "no container is in the carrier"
    return after


def _digests(path: Path) -> set[str]:
    """The SHA-256 of each container that a file has."""
    data = path.read_bytes()
    found = read_device_code(data, read_image(data)).containers
    assert found, f"{path} has no GPU code"
    return {sha256(data[one.offset : one.offset + one.size]).hexdigest() for one in found}


def _addresses(path: Path) -> list[int]:
    """Where the file is mapped from, and its records, before the loader adds where it put the file."""
    elf = ELFFile(BytesIO(path.read_bytes()))
    first = min(segment["p_vaddr"] for segment in elf.iter_segments("PT_LOAD"))
    found = [first & -os.sysconf("SC_PAGESIZE")]
    for section in elf.iter_sections():
        if section.name == ".nvFatBinSegment":
            found += range(section["sh_addr"], section["sh_addr"] + section["sh_size"], _RECORD)
    return found


def _exported(path: Path) -> list[str]:
    """The symbols that a shared object defines for others."""
    table = ELFFile(BytesIO(path.read_bytes())).get_section_by_name(".dynsym")
    return [symbol.name for symbol in table.iter_symbols() if symbol["st_shndx"] != "SHN_UNDEF"]
