"""Small projects that build a C extension module by a PEP 517 backend of their own, so that nothing is downloaded."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.interpreters import available
from wheelfuse.target import Target

TARGETS = tuple(map(Target.parse, ("cp310", "cp312", "cp314t")))
"""The matrix of most tests."""

_PYPROJECT = """\
[build-system]
requires = [{requires}]
build-backend = "backend"
backend-path = ["."]

[project]
name = "tiny"
version = "1.0"
requires-python = ">=3.10"

{more}
"""

_SOURCE = r"""
#define PY_SSIZE_T_CLEAN
#include <Python.h>
static int run(PyObject *module) {
    return PyModule_AddStringConstant(module, "built_for", PY_VERSION)
        || PyModule_AddStringConstant(module, "file", __FILE__);
}
static PyModuleDef_Slot slots[] = {{Py_mod_exec, run},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_C", .m_slots = slots};
PyMODINIT_FUNC PyInit__C(void) { return PyModuleDef_Init(&definition); }
"""

_BACKEND = """\
import base64, hashlib, json, os, shlex, subprocess, sys, sysconfig, zipfile

TARGET = os.environ["WHEELFUSE_TARGET"]
TAG = "cp3%d-%s-linux_x86_64" % (sys.version_info[1], TARGET)


def _get_requires_for_build_wheel(settings=None):
    return []


def write_wheel(directory, files, tag=TAG):
    name = "tiny-1.0-%s.whl" % tag
    info = "tiny-1.0.dist-info"
    python, abi, platform = tag.split("-")
    files = dict(files)
    files[info + "/METADATA"] = "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\nRequires-Python: >=3.10\\n"
    files[info + "/WHEEL"] = (
        "Wheel-Version: 1.0\\nGenerator: tiny\\nRoot-Is-Purelib: false\\n"
        + "".join("Tag: %s-%s-%s\\n" % (p, abi, platform) for p in sorted(python.split(".")))
    )
    rows = []
    with zipfile.ZipFile(os.path.join(directory, name), "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            content = content if isinstance(content, bytes) else content.encode()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.append("%s,sha256=%s,%d\\n" % (path, digest, len(content)))
            member = zipfile.ZipInfo(path)
            member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(member, content)
        member = zipfile.ZipInfo(info + "/RECORD")
        member.external_attr = 0o644 << 16
        archive.writestr(member, "".join(rows) + info + "/RECORD,,\\n")
    return name


def compiled():
    output = "_C" + sysconfig.get_config_var("EXT_SUFFIX")
    command = ["cc", "-shared", "-fPIC", *shlex.split(os.environ.get("CFLAGS", ""))]
    command += ["-I" + sysconfig.get_config_var("INCLUDEPY"), os.path.abspath("native.c"), "-o", output]
    subprocess.run(command, check=True)
    with open(output, "rb") as file:
        return {"tiny/" + output: file.read()}


def build_wheel(directory, config_settings=None, metadata_directory=None):
    files = {"tiny/__init__.py": ""}
    print("building for", TARGET)
%s
    files.update(compiled())
    return write_wheel(directory, files)
"""


def project(
    directory: Path,
    body: str = "",
    *,
    source: str = _SOURCE,
    requires: str = "",
    more: str = "",
    files: Mapping[str, str] | None = None,
) -> Path:
    """A project in *directory* that makes a wheel of a package with an extension module.

    *body* are statements of its ``build_wheel``; what they put into the dict ``files`` goes into the wheel.
    """
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    contents = {
        "pyproject.toml": _PYPROJECT.format(requires=requires, more=more),
        "backend.py": _BACKEND.replace("%s\n    files", f"{lines}\n    files", 1),
        "native.c": source,
        **(files or {}),
    }
    for name, content in contents.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return directory


def pythons(*targets: Target) -> list[str]:
    """The options of the command that choose exactly these targets, with the interpreters that tests use."""
    chosen = targets or TARGETS
    named = [("--python", str(available()[target]), "--python", str(target)) for target in chosen]
    return list(itertools.chain.from_iterable(named))


def command_line(*arguments: object) -> list[str]:
    """The command ``wheelfuse build`` with these arguments, for a process of its own."""
    return [sys.executable, "-m", "wheelfuse", "build", *map(str, arguments)]


def git(directory: Path, *arguments: str) -> str:
    """Run git, with a user of its own and without the settings of the machine."""
    settings = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"]
    command = ["git", "-C", str(directory), *settings, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
