"""What the bytes of an input are: every byte has one place, and sections are what other readers say they are."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests import cuda
from tests.native import compiled, library, module, soabi
from tests.real.download import fetched
from tests.report.page.pages import adds_up, at, audited, of_stuff
from tests.wheels import build_wheel
from wheelfuse.auditing.subject import Kind, Subject
from wheelfuse.report.page.blocks import contents, leaves
from wheelfuse.report.page.model import Stuff
from wheelfuse.target import Target

CP312 = Target(12)


def in_zip(path: Path) -> tuple[int, int]:
    """Bytes of all members of a wheel, installed and packed, as the standard library reads them."""
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        return sum(info.file_size for info in infos), sum(info.compress_size for info in infos)


def section_sizes(path: Path, member: str) -> dict[str, int]:
    """Name -> bytes in the file, as pyelftools reads them."""
    with zipfile.ZipFile(path) as archive:
        elf = ELFFile(io.BytesIO(archive.read(member)))
        return {s.name: s.data_size for s in elf.iter_sections() if s["sh_type"] != "SHT_NOBITS"}


def is_debug(name: str) -> bool:
    return name.startswith(".debug") or name in (".symtab", ".strtab")


def test_every_byte_of_a_wheel_is_in_one_block(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"pkg/{soabi('_x', CP312)}": module("_x", CP312),
        "pkg.libs/libspam.so.1": library("int spam;", "libspam.so.1"),
        "pkg/__init__.py": "import pkg._x\n",
        "pkg/_x.pyi": "",
        "pkg/data/a.bin": bytes(70_000),
        "pkg/kernels/k.cubin": b"\x7fELF no such thing",
    }
    path = build_wheel(tmp_path, "cp312", files)
    (shown,) = audited(path).inputs
    assert (shown.contents.size, shown.contents.packed) == in_zip(path)
    assert shown.installed_size == shown.contents.size
    assert adds_up(shown.contents)
    assert at(shown.contents, "pkg", "__init__.py").stuff is Stuff.PYTHON
    assert at(shown.contents, "pkg", "_x.pyi").size == 0
    assert at(shown.contents, "pkg", "data", "a.bin").stuff is Stuff.DATA
    assert at(shown.contents, "pkg", "kernels", "k.cubin").stuff is Stuff.DEVICE_CODE
    assert {leaf.stuff for leaf in leaves(at(shown.contents, "pkg.libs"))} == {Stuff.LIBRARY, Stuff.DEBUG}


def test_debug_sections_are_told_from_code(tmp_path: Path) -> None:
    member = "pkg/libspam.so"
    files: dict[str, str | bytes] = {member: compiled("int spam(int a) { return a + 1; }", "-g")}
    path = build_wheel(tmp_path, "cp312", files)
    (shown,) = audited(path).inputs
    sizes = section_sizes(path, member)
    block = at(shown.contents, "pkg", "libspam.so")
    debug = sum(size for name, size in sizes.items() if is_debug(name))
    assert debug > 0
    assert of_stuff(block, Stuff.DEBUG) == debug
    assert of_stuff(block, Stuff.LIBRARY) == len(files[member]) - debug
    assert of_stuff(block, Stuff.DEVICE_CODE) == 0


def test_gpu_code_is_told_from_the_code_around_it(tmp_path: Path) -> None:
    path = cuda.wheel(tmp_path, CP312)
    member = f"{cuda.PACKAGE}/{soabi(cuda.MODULE, CP312)}"
    sizes = section_sizes(path, member)
    (shown,) = audited(path).inputs
    block = at(shown.contents, *member.split("/"))
    device = sizes.get(".nv_fatbin", 0) + sizes.get("__nv_relfatbin", 0)
    assert device > 0
    assert of_stuff(block, Stuff.DEVICE_CODE) == device
    assert of_stuff(block, Stuff.MODULE) > 0
    assert adds_up(block)
    assert any(bar.title == "GPU" for bar in shown.bars)


@pytest.mark.parametrize("damage", [b"not ELF at all", b"\x7fELF\x02\x01\x01"], ids=["none", "cut off"])
def test_what_cannot_be_read_is_told_by_its_name(damage: bytes, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"pkg/{soabi('_x', CP312)}": damage, "pkg/liby.so.2.1": damage}
    path = build_wheel(tmp_path, "cp312", files)
    (shown,) = audited(path).inputs
    assert at(shown.contents, "pkg", soabi("_x", CP312)).stuff is Stuff.MODULE
    assert at(shown.contents, "pkg", "liby.so.2.1").stuff is Stuff.LIBRARY
    assert shown.contents.size == in_zip(path)[0]


def test_of_many_small_files_a_few_blocks_are_made(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"pkg/d{n % 7}/h{n}.h": "x" * (n % 50) for n in range(3000)}
    files |= {f"pkg/d{n % 7}/m{n}.py": "y" * (n % 50) for n in range(1000)}
    files["pkg/large.bin"] = bytes(1 << 20)
    path = build_wheel(tmp_path, "cp312", files)
    (shown,) = audited(path).inputs
    assert (shown.contents.size, shown.contents.packed) == in_zip(path)
    assert adds_up(shown.contents)
    assert sum(1 for _ in leaves(shown.contents)) < 100
    assert at(shown.contents, "pkg", "large.bin").size == 1 << 20
    assert of_stuff(shown.contents, Stuff.PYTHON) == sum(n % 50 for n in range(1000))
    (small,) = at(shown.contents, "pkg", "d0").parts
    assert small.name == "572 files"


def test_directories_without_end_have_one(tmp_path: Path) -> None:
    path = "/".join(["d"] * 5000)
    block = contents(Subject("x", Kind.DIRECTORY, sizes={path: 7, "a": 1}))
    assert (block.size, block.packed) == (8, 8)
    assert adds_up(block)


def test_what_is_no_wheel_is_packed_no_smaller_than_it_is(tmp_path: Path) -> None:
    (tmp_path / "tree" / "pkg").mkdir(parents=True)
    (tmp_path / "tree" / "pkg" / "lib.so").write_bytes(library("int x;"))
    (tmp_path / "tree" / "pkg" / "a.py").write_text("a = 1\n")
    (shown,) = audited(tmp_path / "tree").inputs
    total = sum(path.stat().st_size for path in (tmp_path / "tree").rglob("*") if path.is_file())
    assert (shown.contents.size, shown.contents.packed, shown.size) == (total, total, 0)


@pytest.mark.real
@pytest.mark.parametrize("project", ["markupsafe", "msgpack"])
def test_real_wheels_add_up(project: str) -> None:
    page = audited(*fetched("projects", project)[:3])
    for shown, path in zip(page.inputs, fetched("projects", project)[:3], strict=True):
        assert (shown.contents.size, shown.contents.packed) == in_zip(path)
        assert adds_up(shown.contents)
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".so")]
        debug = sum(s for name in names for n, s in section_sizes(path, name).items() if is_debug(n))
        assert of_stuff(shown.contents, Stuff.DEBUG) == debug


@pytest.mark.real
def test_a_real_wheel_with_many_modules_stays_small() -> None:
    path = next(path for path in fetched("projects", "numpy-2.3.5") if "cp312" in path.name)
    page = audited(path)
    (shown,) = page.inputs
    assert (shown.contents.size, shown.contents.packed) == in_zip(path)
    assert sum(1 for _ in leaves(shown.contents)) < 400
    symbols = [symbol for table in shown.tables for symbol in table.symbols]
    texts = {text for s in symbols for text in (s.name, s.shown, s.note, s.replacement)}
    assert len(shown.tables) == len(shown.answer.modules) + 3  # OpenBLAS, and what it links
    assert sum(map(len, texts)) + 6 * len(symbols) < 1 << 20
