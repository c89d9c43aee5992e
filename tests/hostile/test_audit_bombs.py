"""Shared objects and sources that are sound for a loader, but of which an audit, or a merge, would read without end."""

from __future__ import annotations

import random
import re
import struct
from pathlib import Path

import pytest

from tests.elf.fatbins import PTX, container, entry
from tests.elf.minimal import Minimal
from tests.elf.symbols import SymbolObject
from tests.elf.test_strip import Added, with_sections
from tests.fuse.merging import build_matrix
from tests.hostile import judged
from tests.hostile.judged import assert_refused, audited, command, hostile, merged
from tests.native import library, soabi
from tests.test_growth import steps
from tests.wheel.zips import Entry
from wheelfuse.abi.demangle import demangle, qualified_name
from wheelfuse.abi.producers import read_producers
from wheelfuse.auditing.linking import linker
from wheelfuse.auditing.python_sources import PythonSources
from wheelfuse.auditing.subject import Kind, SharedObject, Subject
from wheelfuse.elf.image import Image, read_image
from wheelfuse.elf.linkage import Linkage
from wheelfuse.elf.strip import strip_debug
from wheelfuse.target import Target

MODULE = f"pkg/{soabi('_x', Target(12))}"
OBJECT = SymbolObject(64, "<", 62)
ALLOC = 0x2
_TABLE = struct.Struct("<2I4Q2I2Q")


def with_section(name: str, content: bytes, flags: int = 0) -> bytes:
    """A module that imports from CPython, with one more section of any content."""
    base = OBJECT.build(exports=["PyInit__x"], imports=["PyModule_Create2"], needed=["libc.so.6"])
    table, count, names = (
        struct.unpack_from(f"<{code}", base, at)[0] for code, at in (("Q", 40), ("H", 60), ("H", 62))
    )
    headers = [list(_TABLE.unpack_from(base, table + _TABLE.size * index)) for index in range(count)]
    start, size = headers[names][4:6]
    titles = base[start : start + size] + name.encode() + b"\0"
    file = base + content
    headers.append([size, 1, flags, 0, len(base), len(content), 0, 0, 1, 0])
    headers[names][4:6] = len(file), len(titles)
    file += titles
    file += bytes(-len(file) % 8)
    head = bytearray(base[:64])
    struct.pack_into("<Q", head, 40, len(file))
    struct.pack_into("<H", head, 60, len(headers))
    return bytes(head) + file[64:] + b"".join(_TABLE.pack(*header) for header in headers)


MARKS = b"".join(
    (b"__pybind11_internals_v", b"nanobind_", b"nb_internals", b"_cython_", b"cython_runtime", b"/pyo3-",
     b"swig_runtime_data", b"_cffi_backend", b"__mypyc.", b".so", b"/cudart.shm.", b"cudaErrorCudartUnloading")
)  # fmt: skip


@pytest.mark.parametrize(
    "name, flags, content",
    [
        (".comment", 0, b"ab\0" * (24 << 20)),
        (".GCC.command.line", 0, b"".join(b"%x\0" % number for number in range(8 << 20))),
        (".rodata.x", ALLOC, b"".join(b"%08d" % n + MARKS.ljust(1000, b"x") for n in range(80_000))),
    ],
    ids=["signatures of compilers", "command lines", "constants full of marks"],
)
def test_text_without_end_is_not_kept(tmp_path: Path, name: str, flags: int, content: bytes) -> None:
    path = hostile(tmp_path, Entry(MODULE, with_section(name, content, flags), deflated=True))
    answer = audited(path)
    assert answer.code in (0, 1), answer
    assert MODULE in answer.text
    assert "WF003" not in answer.text


def test_what_stands_among_a_great_many_strings_is_found() -> None:
    """The bounds are on what is different, and on bytes: the same signature from each object file counts once."""
    signed = b"GCC: (GNU) 14.2.1\0" * 100_000 + b"GCC: (GNU) 12.1.0\0"
    data = with_section(".comment", signed)
    assert read_producers(data, read_image(data)).compilers == ("GCC 12.1.0", "GCC 14.2.1")


def reference(number: int) -> str:
    """The substitution of this number (Itanium C++ ABI, 5.1.10)."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "S_" if number == 0 else f"S{digits[number - 1] if number <= 36 else '1' + digits[number - 37]}_"


def doubling(times: int, scope: str = "2at") -> str:
    """A function with so many parameters, each a pair of the one before."""
    pairs = "".join(f"S1_I{reference(2 + number) * 2}E" for number in range(times))
    return f"_ZN{scope}1fESt4pairIiiE{pairs}"


def test_a_name_that_doubles_with_each_part_is_not_written_out(tmp_path: Path) -> None:
    module = OBJECT.build(
        exports=["PyInit__x"], imports=[doubling(26)], needed=["libtorch_cpu.so", "libc.so.6"]
    )
    answer = audited(hostile(tmp_path, Entry(MODULE, module, deflated=True)))
    assert answer.code == 1, answer
    assert "at::f" in answer.text


def test_only_what_may_become_endless_is_shown_without_its_parameters() -> None:
    assert demangle(doubling(3)).startswith("at::f(std::pair<int, int>, std::pair<")
    assert demangle(doubling(12)) == "at::f"
    assert demangle("_ZN2at1fE" + "P" * 5000 + "i") == "at::f"
    assert str(qualified_name("_ZN2at" + "1a" * 100_000 + "E")).startswith("at::a::a::")


def test_a_long_name_is_cut_where_it_is_shown(tmp_path: Path) -> None:
    names = ["Py" + "_" * 200_000, "_Zxx" + "y" * 200_000]
    module = OBJECT.build(exports=["PyInit__x"], imports=names, needed=["libtorch_cpu.so", "libc.so.6"])
    answer = audited(hostile(tmp_path, Entry(MODULE, module, deflated=True)))
    assert answer.code == 1
    assert "Py____" in answer.text
    assert len(answer.text) < 100_000


@pytest.mark.parametrize(
    "module, text",
    [
        (
            OBJECT.build(exports=["PyInit__x"], imports=["n" * 300_000], needed=["libc.so.6"]),
            "a name of 300000 bytes",
        ),
        (OBJECT.build(imports=[f"n{n}" for n in range(140_000)], needed=["libc.so.6"]), "undefined symbols"),
        (OBJECT.build(exports=["x"], needed=[f"l{n}" for n in range(5000)]), "5000 needed libraries"),
        (library("int x;", runpath=":".join(f"/{n}" for n in range(2000))), "sought in 2000 directories"),
    ],
    ids=["a name", "imports", "needed libraries", "directories"],
)
def test_more_than_any_linker_writes_is_refused(tmp_path: Path, module: bytes, text: str) -> None:
    assert_refused(hostile(tmp_path, Entry(MODULE, module, deflated=True)), text, member=MODULE)


def test_libraries_that_are_nowhere_are_not_sought_in_each_directory() -> None:
    needed, runpath = (tuple(f"{kind}{number}" for number in range(500)) for kind in ("lib", "$ORIGIN/"))
    images = {
        path: Image("EM_X86_64", 64, True, "ET_DYN", needed=needed, runpath=runpath)
        for path in ("pkg/a.so", "pkg/7/lib3")
    }
    linkage = Linkage(images)
    assert steps(lambda: linkage.edges("pkg/a.so")) < 500 * 50
    assert dict(linkage.edges("pkg/a.so"))["lib3"] == ("pkg/7/lib3",)


def test_an_audit_does_not_look_everywhere_for_what_is_nowhere() -> None:
    def work(directories: int) -> int:
        needed, runpath = (tuple(f"{kind}{n}" for n in range(500)) for kind in ("lib", "$ORIGIN/"))
        image = Image("EM_X86_64", 64, True, "ET_DYN", needed=needed, runpath=runpath[:directories])
        found = Subject("x", Kind.WHEEL, files={MODULE: SharedObject(MODULE, 1, image)}, sizes={MODULE: 1})
        return steps(lambda: linker(found).linked(MODULE))

    work(1)  # fills caches
    assert work(500) < work(1) + 500 * 50


def test_cutting_out_debug_information_grows_with_the_sections() -> None:
    def work(count: int) -> int:
        data = with_sections(Minimal().build(), *[Added(".debug_x", b"d" * 99), Added(".kept", b"k")] * count)
        return steps(lambda: strip_debug(data))

    assert work(400) < 2.5 * work(200)


def test_notes_without_end_are_passed_once(tmp_path: Path) -> None:
    path = hostile(tmp_path, Entry("pkg/libx.so", noted(8 << 20), deflated=True))
    assert merged(path, "--strip-debug").code == 0


def noted(size: int) -> bytes:
    """A library with empty notes of so many bytes, and no build ID."""
    source = (
        f'__attribute__((section(".note.foo"), aligned(4), used)) const int n[{size // 4}] = {{4, 0, 1, 0}};'
    )
    data = bytearray(library(source + "int x(void) { return 1; }", "libx.so", "-g", "-Wl,--build-id=none"))
    table, count = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<H", data, 60)[0]
    (found,) = (section for section in read_image(bytes(data)).sections if section.name == ".note.foo")
    data[found.offset : found.offset + found.size] = (struct.pack("<3I", 0, 0, 1) * (size // 12 + 1))[
        : found.size
    ]
    for index in range(count):
        header = list(_TABLE.unpack_from(data, table + _TABLE.size * index))
        if header[4:6] == [found.offset, found.size]:
            header[1] = 7  # SHT_NOTE
            _TABLE.pack_into(data, table + _TABLE.size * index, *header)
    return bytes(data)


def test_the_dynamic_section_is_read_to_its_end_and_no_further(tmp_path: Path) -> None:
    """120 MB of it, of which a few hundred bytes are before DT_NULL."""
    source = (
        '__attribute__((section(".far"), aligned(16), used)) long n[{}] = {{1}}; int x(void) {{ return 1; }}'
    )
    data = bytearray(library(source.format(120 << 17), "libx.so", "-g"))
    (far,) = (section for section in read_image(bytes(data)).sections if section.name == ".far")
    table, count = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<H", data, 60)[0]
    headers = [_TABLE.unpack_from(data, table + _TABLE.size * index) for index in range(count)]
    address = next(header[3] for header in headers if header[4:6] == (far.offset, far.size))
    first, number = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    for place in range(first, first + 56 * number, 56):
        kind, _, offset, *_, size, _, _ = struct.unpack_from("<2I6Q", data, place)
        if kind == 2:  # PT_DYNAMIC
            data[far.offset : far.offset + size] = data[offset : offset + size]
            data[far.offset + size : far.offset + size + 8] = bytes(8)
            struct.pack_into("<2I6Q", data, place, 2, 6, far.offset, address, address, far.size, far.size, 16)
    path = hostile(tmp_path, Entry("pkg/libx.so", bytes(data), deflated=True))
    assert merged(path, "--strip-debug").code == 0


def test_gpu_code_with_the_names_of_very_many_sources_keeps_them(tmp_path: Path) -> None:
    text = b" ".join(b"_x_%08x_4_k_cu_q%d" % (number, number) for number in range(40_000)) + b" "
    code = bytearray(entry(PTX, 80, payload=len(text)))
    code[64:] = text
    filled = container(bytes(code))
    room = -(-len(filled) // 4096) * 4096
    source = f'__attribute__((section(".nv_fatbin"), aligned(8))) const char code[{room}] = {{1}}; int x = sizeof code;'
    data = bytearray(library(source, "libx.so"))
    (found,) = (section for section in read_image(bytes(data)).sections if section.name == ".nv_fatbin")
    data[found.offset : found.offset + found.size] = filled.ljust(found.size, b"\0")
    targets = (Target(11), Target(12))
    build_matrix(
        tmp_path / "in", {t: {"pkg/__init__.py": "", f"pkg/{soabi('_x', t)}": bytes(data)} for t in targets}
    )
    done = command("merge", tmp_path / "in", "-o", tmp_path / "out", "--share-device-code=names")
    assert done.returncode == 0, done.stderr


def test_python_source_that_nearly_opens_libraries_is_passed_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judged, "SECONDS", 25)
    path = hostile(tmp_path, Entry("pkg/a.py", b"DLL(" * (48 << 20), deflated=True))
    assert audited(path).code == 0


def test_what_opens_a_library_for_all_to_see_is_told_as_by_one_pattern() -> None:
    whole = re.compile(rb"DLL\([^;\n]{0,160}RTLD_GLOBAL")
    draw = random.Random(7)
    parts = [b"DLL(", b"RTLD_GLOBAL", b";", b"\n", b"x" * 80, b"x" * 75, b"mode="]
    told = []
    for _ in range(3000):
        text = b"".join(draw.choices(parts, k=draw.randrange(9)))
        sources = PythonSources()
        sources.update(text)
        assert sources.open_globally == bool(whole.search(text)), text
        told.append(sources.open_globally)
    assert 100 < sum(told) < 2900
