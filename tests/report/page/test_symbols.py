"""The symbols of each file: all of them, each with what the tables of the audit know of it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tests.auditing.test_api import torch_module
from tests.native import compiled, library, module, soabi
from tests.report.page.pages import audited
from tests.wheels import build_wheel
from wheelfuse.auditing.reading import read_subject
from wheelfuse.report.page.model import State, Symbol, SymbolTable
from wheelfuse.report.page.symbols import EXPORTED, symbol_tables
from wheelfuse.target import Target

CP310, CP312, CP313 = Target(10), Target(12), Target(13)


def tables(path: Path) -> dict[str, SymbolTable]:
    (shown,) = audited(path).inputs
    return {table.path: table for table in shown.tables}


def symbol(table: SymbolTable, name: str) -> Symbol:
    (found,) = (symbol for symbol in table.symbols if symbol.name == name)
    return found


def wheel(
    directory: Path, content: bytes, member: str = f"pkg/{soabi('_x', CP313)}", **settings: str
) -> Path:
    return build_wheel(directory, "cp313", {member: content}, **settings)


def dynamic_symbols(path: Path, member: str) -> tuple[set[str], set[str]]:
    """Names that a member needs, and that it exports, as pyelftools reads them."""
    with zipfile.ZipFile(path) as archive:
        elf = ELFFile(io.BytesIO(archive.read(member)))
        section = elf.get_section_by_name(".dynsym")
        assert isinstance(section, SymbolTableSection)
        found = [s for s in section.iter_symbols() if s.name and s["st_info"]["bind"] != "STB_LOCAL"]
        needed = {s.name for s in found if s["st_shndx"] == "SHN_UNDEF"}
        return needed, {s.name for s in found} - needed


def test_all_symbols_are_there_with_what_else_is_known(tmp_path: Path) -> None:
    member = f"pkg/{soabi('_x', CP313)}"
    path = wheel(tmp_path, module("_x", CP313, "PyList_New"))
    table = tables(path)[member]
    needed, exported = dynamic_symbols(path, member)
    assert {s.name for s in table.symbols if s.group != EXPORTED} == needed
    assert {s.name for s in table.symbols if s.group == EXPORTED} == exported
    facts = dict(table.facts)
    assert facts["module"] == "pkg._x"
    assert facts["needed symbols"] == str(len(needed))
    assert facts["machine"] == "x86_64"
    with zipfile.ZipFile(path) as archive:
        dynamic = ELFFile(io.BytesIO(archive.read(member))).get_section_by_name(".dynamic")
    assert isinstance(dynamic, DynamicSection)
    libraries = [tag.needed for tag in dynamic.iter_tags("DT_NEEDED")]
    assert facts["needs"] == ", ".join(libraries)


def test_symbols_of_cpython_are_held_against_its_releases(tmp_path: Path) -> None:
    content = module("_x", CP313, "PyList_New", "_PyObject_GetDictPtr", "PyMutex_Lock", "_PyUnicode_Ready")
    table = tables(wheel(tmp_path, content))[f"pkg/{soabi('_x', CP313)}"]
    assert symbol(table, "PyList_New").group == "CPython, limited API"
    assert symbol(table, "PyMutex_Lock").group == "CPython, full API"
    assert "3.12" in symbol(table, "PyMutex_Lock").note
    private = symbol(table, "_PyObject_GetDictPtr")
    assert (private.group, private.replacement != "") == ("CPython, private", True)
    gone = symbol(table, "_PyUnicode_Ready")
    assert gone.state is State.BAD
    assert gone.note.startswith("not exported by CPython 3.13: gone since 3.12")
    assert table.symbols[0] == gone


def test_symbols_of_libtorch_tell_the_versions_that_have_them(tmp_path: Path) -> None:
    unstable, unknown = "_ZN2at6Tensor3fooEv", "_ZNK2at10TensorBase8data_ptrIfEEPT_v"
    table = tables(wheel(tmp_path, torch_module(unstable, unknown)))[f"pkg/{soabi('_x', CP313)}"]
    assert symbol(table, unstable).state is State.BAD
    assert symbol(table, unstable).shown == "at::Tensor::foo()"
    found = symbol(table, unknown)
    assert found.group == "libtorch"
    assert found.state is not State.BAD
    assert found.shown == "float* at::TensorBase::data_ptr<float>() const"


def test_versions_of_glibc_are_held_against_the_tag(tmp_path: Path) -> None:
    """A symbol with a version that came with glibc 2.34, under tags that promise more or less."""
    content = compiled("int dlclose(void *); int f(void) { return dlclose(0); }")
    states = {
        platform: symbol(
            tables(wheel(tmp_path, content, "pkg/libf.so", platform=platform))["pkg/libf.so"], "dlclose"
        )
        for platform in ("manylinux_2_17_x86_64", "manylinux_2_39_x86_64")
    }
    assert {found.version for found in states.values()} == {"GLIBC_2.34"}
    assert states["manylinux_2_39_x86_64"].state is State.GOOD
    assert states["manylinux_2_17_x86_64"].state is State.BAD
    assert "2.17" in states["manylinux_2_17_x86_64"].note


def test_what_nobody_defines_stands_out(tmp_path: Path) -> None:
    content = module("_x", CP313, "spam_that_nobody_has")
    table = tables(wheel(tmp_path, content))[f"pkg/{soabi('_x', CP313)}"]
    assert symbol(table, "spam_that_nobody_has").state is State.BAD
    assert symbol(table, "spam_that_nobody_has").group == "other"


NAMES = ("_Z3fooILi60EEvv", "a$b", "_Z7noSuchTx")


def test_names_come_through_as_they_are(tmp_path: Path) -> None:
    """Symbols may be called anything; what is shown beside them is never taken for the name."""
    labels = {
        f"f{n}": name for n, name in enumerate((*NAMES, "<script>alert(1)</script>", "a&b", "\u202eevil"))
    }
    source = "".join(
        f'void {c}(void) __asm__("\\"{name}\\"") ; void {c}(void) {{}}\n' for c, name in labels.items()
    )
    path = wheel(tmp_path, library(source), "pkg/<b>lib.so")
    table = tables(path)["pkg/<b>lib.so"]
    assert set(labels.values()) <= {s.name for s in table.symbols}
    assert symbol(table, NAMES[0]).shown == "void foo<60>()"
    assert symbol(table, "<script>alert(1)</script>").shown == ""


@pytest.mark.parametrize("room", [0, 2_000, 20_000])
def test_tables_end_where_there_is_no_more_room(room: int, tmp_path: Path) -> None:
    """What files need comes before what they export, and small files before large ones."""
    large = library("".join(f"int large_{n};\n" for n in range(5_000)))
    small = library("int small_1, small_2;\n")
    path = build_wheel(tmp_path, "cp312", {"pkg/a.so": large, "pkg/b.so": small})
    subject = read_subject(path)
    ((first, second),) = symbol_tables([subject], room)
    listed = [s for table in (first, second) for s in table.symbols]
    texts = {text for s in listed for text in (s.name, s.shown, s.note, s.replacement)}
    assert sum(map(len, texts)) + 6 * len(listed) <= room
    assert len(first.symbols) < 5_000
    exported = len(subject.files["pkg/a.so"].image.exports)
    shown = sum(s.group == EXPORTED for s in first.symbols)
    assert dict(first.facts)["exported symbols"] == f"{exported}, of which {shown} are listed"
    if room:
        assert {"small_1", "small_2"} <= {s.name for s in second.symbols}


def test_equal_symbols_are_kept_once(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"pkg/{soabi(f'_{name}', CP312)}": module(f"_{name}", CP312, "PyList_New") for name in "ab"
    }
    subject = read_subject(build_wheel(tmp_path, "cp312", files))
    ((first, second),) = symbol_tables([subject])
    assert symbol(first, "PyList_New") is symbol(second, "PyList_New")


def test_inputs_have_their_own_tables(tmp_path: Path) -> None:
    pure = build_wheel(tmp_path, "py3", tag="py3-none", platform="any")
    native = wheel(tmp_path, module("_x", CP313))
    page = audited(pure, native, native.parent)
    assert [len(shown.tables) for shown in page.inputs] == [0, 1]
