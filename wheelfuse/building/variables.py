"""The environment variables of a build job. Pure."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from wheelfuse.building.torch import Torch
from wheelfuse.target import Target

_LAUNCHERS = ("CMAKE_C_COMPILER_LAUNCHER", "CMAKE_CXX_COMPILER_LAUNCHER", "CMAKE_CUDA_COMPILER_LAUNCHER")
_CORES = ("CMAKE_BUILD_PARALLEL_LEVEL", "MAX_JOBS", "CARGO_BUILD_JOBS")
"""How many compilers one job runs, for CMake, torch's BuildExtension, and Rust."""

_DECIDE = re.compile(
    r"CC|CXX|CPP|AR|LD|FC|CFLAGS|CXXFLAGS|CPPFLAGS|LDFLAGS|FFLAGS|CUDAFLAGS|CPATH|C_INCLUDE_PATH|CPLUS_INCLUDE_PATH"
    r"|LIBRARY_PATH|PKG_CONFIG_PATH|NVCC_\w+|CUDA\w+|TORCH_\w+|Torch_DIR|CMAKE_\w+|SKBUILD_\w+|ARCHFLAGS|RUSTFLAGS"
    r"|CARGO_\w+|MESON\w*|DIST_EXTRA_CONFIG|SETUPTOOLS_\w+|SOURCE_DATE_EPOCH|_PYTHON_HOST_PLATFORM|AUDITWHEEL_PLAT"
    r"|WHEELFUSE_TORCH_\w+"
)
"""Variables on which the result of a build depends, by the documentation of compilers and backends."""


def job_variables(
    given: Mapping[str, str],
    target: Target,
    *,
    cores: int,
    epoch: int,
    launcher: Path | None = None,
    torch: Torch | None = None,
    moved: Path | None = None,
    build_directory: Path | None = None,
) -> dict[str, str]:
    """What a job gets in addition to the variables *given*, which win where they say the same thing.

    *cores* is the share of the job, *launcher* the compile cache, *epoch* the time to be stamped on files (seconds
    since 1970). *moved* is where this job sees the sources, if other jobs see them elsewhere. *build_directory* is for
    scikit-build-core, which else takes a new one each time, whose name no compile cache has seen.
    """
    wanted = {
        **dict.fromkeys(_CORES, str(cores)),
        **(dict.fromkeys(_LAUNCHERS, str(launcher)) if launcher else {}),
        **({"SKBUILD_BUILD_DIR": str(build_directory)} if build_directory else {}),
        "SOURCE_DATE_EPOCH": str(epoch),
        "GIT_OPTIONAL_LOCKS": "0",  # jobs look at one repository, none may write to it
    }
    found = {name: value for name, value in wanted.items() if not given.get(name)}
    found["WHEELFUSE_TARGET"] = str(target)
    if torch:
        found.update(torch.variables(given))
    if moved:
        found.update(_mapped(given, moved))
    return found


def _mapped(given: Mapping[str, str], moved: Path) -> dict[str, str]:
    """Flags with which compilers write paths relative to the sources."""
    flag = f"-ffile-prefix-map={moved}=."
    added = {"CFLAGS": flag, "CXXFLAGS": flag, "NVCC_APPEND_FLAGS": f"-Xcompiler={flag}"}
    return {name: " ".join(filter(None, (given.get(name, ""), value))) for name, value in added.items()}


def deciding(given: Mapping[str, str], further: Iterable[str] = ()) -> dict[str, str]:
    """Those of the variables on which the result of a build depends; *further* are globs of names that do, too."""
    globs = tuple(further)
    return {
        name: value
        for name, value in sorted(given.items())
        if _DECIDE.fullmatch(name) or any(fnmatchcase(name, glob) for glob in globs)
    }


def digest_of(*values: object) -> str:
    """SHA-256 over values that JSON can hold."""
    return hashlib.sha256(os.fsencode(json.dumps(values, sort_keys=True))).hexdigest()
