"""Libraries with GPU code as nvcc lays it out, made by the C compiler, and what the CUDA runtime would be given.

The code itself is noise, in containers of the right form. As in what nvcc makes, the library has the address of a
record, and the record that of a container, which a loader sets.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.elf.fatbins import SASS, container, entry
from tests.native import compiled
from wheelfuse.elf.fatbin import Container, read_device_code
from wheelfuse.elf.image import read_image

SOURCE = r"""
#include <execinfo.h>
struct record { int magic, version; const void *container; const void *more; };
%(declarations)s
static int zeros[5000], numbers[] = {40, 2};
static int *pointers[] = {&numbers[0], &numbers[1], zeros};
__asm__(%(assembly)s);
struct record *record(int index) {
    struct record *records[] = { %(uses)s };
    return records[index];
}
int value(void) { return *pointers[0] + *pointers[1] + pointers[2][4999]; }
int depth(void) { void *frames[50]; return backtrace(frames, 50); }
%(more)s
"""

_RECORD = """
extern const char fatbinData%(n)d[] __attribute__((visibility("hidden")));
static struct record record%(n)d __attribute__((section(".nvFatBinSegment"), used, aligned(8))) =
    { 0x466243b1, %(version)d, fatbinData%(n)d, 0 };
"""

_ASSEMBLY = r"""
".section %(section)s,\"a\",@progbits\n.balign 8\nfatbinData%(n)d:\n.incbin \"container%(n)d\"\n.balign 8\n.text\n"
"""

_PROBE = """
import ctypes, os, sys
import hashlib
library = ctypes.CDLL(sys.argv[1], mode=os.RTLD_NOW)
class Record(ctypes.Structure):
    _fields_ = [("magic", ctypes.c_int), ("version", ctypes.c_int), ("at", ctypes.c_void_p), ("more", ctypes.c_void_p)]
library.record.restype = ctypes.POINTER(Record)
print(library.value(), library.depth() > 1)
for index, size in enumerate(map(int, sys.argv[2:])):
    print(hashlib.sha256(ctypes.string_at(library.record(index).contents.at, size)).hexdigest())
"""


def code(size: int, seed: int) -> bytes:
    """A container of *size* bytes, which begins as all do."""
    plain = container(entry(SASS, 90, payload=size - 80))
    return plain[:80] + random.Random(seed).randbytes(size - 80)


CODES = (code(300_000, 1), code(65_544, 2), code(160, 3), code(200_000, 4))


def device_library(
    *flags: str,
    codes: Sequence[bytes] = CODES,
    sections: Sequence[str] = (".nv_fatbin",) * 9,
    version: int = 1,
    more: str = "",
    libraries: Mapping[str, bytes] | None = None,
) -> bytes:
    """A library with a record and a container for each of *codes*, *more* C source, and *libraries* that it needs."""
    numbers = range(len(codes))
    source = SOURCE % {
        "declarations": "".join(_RECORD % {"n": n, "version": version} for n in numbers),
        "assembly": "".join(_ASSEMBLY % {"n": n, "section": sections[n]} for n in numbers),
        "uses": ", ".join(f"&record{n}" for n in numbers),
        "more": more,
    }
    beside = {f"container{n}": data for n, data in enumerate(codes)} | dict(libraries or {})
    return compiled(source, *flags, beside=beside)


def containers_of(data: bytes) -> tuple[Container, ...]:
    """The containers of a library, in file order."""
    return read_device_code(data, read_image(data)).containers


def probe(library: Path, sizes: Sequence[int], **environment: str) -> str:
    """What a process says that loads the library: results of functions, and digests of what the records refer to."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, str(library), *map(str, sizes)],
        capture_output=True,
        text=True,
        env={"LD_BIND_NOW": "1", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
