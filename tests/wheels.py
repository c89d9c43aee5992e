"""Small wheels made from a dict of paths, and what tests ask of the result of a merge."""

from __future__ import annotations

import base64
import hashlib
import stat
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

PLATFORM = "manylinux_2_17_x86_64"


def metadata(
    name: str = "pkg", version: str = "1.0", *, requires_python: str = ">=3.10", extra: str = ""
) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    if requires_python:
        lines.append(f"Requires-Python: {requires_python}")
    return "\n".join((*lines, *extra.splitlines(), "", "A package.", ""))


def digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def build_wheel(
    directory: Path,
    target: str = "cp312",
    files: Mapping[str, str | bytes] | None = None,
    *,
    name: str = "pkg",
    version: str = "1.0",
    build: str = "",
    tag: str = "",
    platform: str = PLATFORM,
    requires_python: str = ">=3.10",
    metadata_extra: str = "",
    dist_info: Mapping[str, str | bytes] | None = None,
    modes: Mapping[str, int] | None = None,
    purelib: bool = False,
    record: str | None = None,
    compression: int = zipfile.ZIP_DEFLATED,
) -> Path:
    """Write a wheel for *target* (``cp313t``), or with the python-abi *tag* (``cp39-abi3``), and return its path.

    *dist_info* replaces or adds files of ``.dist-info``; *record* replaces RECORD as a whole. An st_mode in
    *modes* with the type of a symbolic link makes the content its destination.
    """
    tag = tag or f"{target.rstrip('t')}-{target}"
    info = f"{name}-{version}.dist-info"
    wheel_tags = "".join(f"Tag: {tag}-{part}\n" for part in platform.split("."))
    root = "true" if purelib else "false"
    build_line = f"Build: {build}\n" if build else ""
    members: dict[str, str | bytes] = dict(files or {})
    members[f"{info}/METADATA"] = metadata(
        name, version, requires_python=requires_python, extra=metadata_extra
    )
    members[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: {root}\n{wheel_tags}{build_line}"
    )
    members |= {f"{info}/{path}": content for path, content in (dist_info or {}).items()}
    contents = {path: text.encode() if isinstance(text, str) else text for path, text in members.items()}
    rows = [f"{path},{digest(content)},{len(content)}" for path, content in contents.items()]
    listing = "\n".join((*rows, f"{info}/RECORD,,", "")) if record is None else record
    path = directory / "-".join(filter(None, (name, version, build, tag, f"{platform}.whl")))
    directory.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for member, content in (*contents.items(), (f"{info}/RECORD", listing.encode())):
            entry = zipfile.ZipInfo(member, (2020, 2, 2, 0, 0, 0))
            entry.external_attr = (modes or {}).get(member, stat.S_IFREG | 0o644) << 16
            entry.compress_type = compression
            archive.writestr(entry, content)
    return path


def contents(path: Path) -> dict[str, bytes]:
    """Every member of a wheel: path -> content."""
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}


def wheelfuse(
    *arguments: object, cwd: Path | None = None, stdin: str | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    import os

    command = [sys.executable, "-m", "wheelfuse", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "100", **env}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, input=stdin, env=environment, check=False
    )


def compile_library(path: Path, source: str, *flags: str, compiler: str = "cc", language: str = "c") -> bytes:
    """Compile C source to a shared object at *path*, and return its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [
        compiler,
        "-x",
        language,
        "-",
        "-x",
        "none",
        "-shared",
        "-fPIC",
        "-O1",
        "-o",
        str(path),
        *flags,
    ]
    subprocess.run(command, input=source, text=True, check=True, capture_output=True)
    return path.read_bytes()


def extension_source(name: str, *symbols: str, body: str = "") -> str:
    """C source of a file that import takes for the extension module *name*, and that needs *symbols* of CPython.

    It declares them itself, so that no CPython headers are needed and any combination can be made.
    """
    declarations = "\n".join(f"extern void {symbol}(void);" for symbol in symbols)
    uses = " ".join(f"sink = (void *)&{symbol};" for symbol in symbols)
    return f"{declarations}\n{body}\nvoid *sink;\nvoid *PyInit_{name}(void) {{ {uses} return 0; }}\n"
