"""Sources of extension modules that need nothing but Python, a made-up torch, and what modules say when imported."""

from __future__ import annotations

from pathlib import Path

from fixtures.build import header_version
from tests.interpreters import available, run_python
from tests.native import library
from wheelfuse.target import Target

PYTHONS = {target: path for target, path in available().items() if header_version(path)}
"""The interpreters that modules can be compiled for."""

BINDING = """\
#include <Python.h>
int doubled(int);
static PyObject *call(PyObject *, PyObject *number) { return PyLong_FromLong(doubled((int)PyLong_AsLong(number))); }
static PyMethodDef methods[] = {{"doubled", call, METH_O, nullptr}, {nullptr, nullptr, 0, nullptr}};
static int fill(PyObject *module) { return PyModule_AddIntConstant(module, "built_for", PY_VERSION_HEX); }
static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)fill}, {0, nullptr}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_C", nullptr, 0, methods, slots, nullptr, nullptr, nullptr};
PyMODINIT_FUNC PyInit__C() { return PyModuleDef_Init(&definition); }
"""
"""A module whose ``doubled`` is defined elsewhere."""

KERNEL = "__global__ void twice(int *x) { *x *= 2; }\nint doubled(int x) { return 2 * x; }\n"


def imported(target: Target, directory: Path, code: str = "print(_C.doubled(21), hex(_C.built_for))") -> str:
    """What *code* prints once the module in a directory was imported."""
    setup = f"import sys; sys.path.insert(0, {str(directory.absolute())!r}); import _C; "
    return run_python(PYTHONS[target], setup + code).strip()


def libraries_of_torch(directory: Path) -> Path:
    """A header and libraries that are named like those of torch, of which one defines ``of_torch``."""
    (directory / "lib").mkdir(parents=True)
    (directory / "include" / "torch").mkdir(parents=True)
    (directory / "include" / "torch" / "library.h").write_text('extern "C" int of_torch(int);\n')
    for name in ("torch", "torch_cpu", "c10", "torch_python"):
        source = "int of_torch(int x) { return 2 * x; }" if name == "torch_cpu" else f"int in_{name};"
        (directory / "lib" / f"lib{name}.so").write_bytes(library(source, f"lib{name}.so"))
    return directory
