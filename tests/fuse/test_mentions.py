"""Python source that names a library which has other names in the fused wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuse.merging import fuse_matrix
from tests.native import library, module, soabi
from wheelfuse.target import Target

PAIR = (Target(12), Target(13))


def matrix(name: str, soname: str, source: str) -> dict[Target, dict[str, str | bytes]]:
    """Modules that link a library bound to their CPython, and Python source beside them."""
    files: dict[Target, dict[str, str | bytes]] = {}
    for target in PAIR:
        code = f"extern char PyModule_Type;\nchar *used(void) {{ return &PyModule_Type + {target.minor}; }}"
        bound = library(code, soname)
        user = module(
            "_m", target, declare="char *used(void);", body="used();", beside={name: bound}, runpath="$ORIGIN"
        )
        files[target] = {
            f"pkg/{name}": bound,
            f"pkg/{soabi('_m', target)}": user,
            "pkg/load.py": source,
        }
    return files


@pytest.mark.parametrize(
    ("name", "soname"),
    [
        ("libbound.so", "libbound.so"),
        ("libbound.so.1", "libbound.so.1"),
        ("libbound++.so", "libbound++.so"),
    ],
)
def test_source_that_names_a_renamed_library_is_a_warning(tmp_path: Path, name: str, soname: str) -> None:
    fused = fuse_matrix(tmp_path, matrix(name, soname, f"import ctypes\nctypes.CDLL('{name}')\n"))
    assert f"pkg/{name}" not in fused.names
    assert f"pkg/load.py: names {name}, of which the fused wheel has one for each CPython" in fused.warnings


@pytest.mark.parametrize(
    "source", ["x = 1\n", "'libbound.so.2'\n", "'notlibbound.so'\n", "'libbound++.so'\n"]
)
def test_other_names_are_none(tmp_path: Path, source: str) -> None:
    fused = fuse_matrix(tmp_path, matrix("libbound.so", "libbound.so", source))
    assert "load.py" not in fused.warnings
