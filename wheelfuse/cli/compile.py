"""``wheelfuse compile``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from wheelfuse.building.commands import ExtensionOptions
from wheelfuse.building.extension import CompiledExtension, compile_extension
from wheelfuse.cli import completing, refusals
from wheelfuse.cli.command import Command, Example
from wheelfuse.cli.options import OneOf, json_option, torch_python_option
from wheelfuse.cli.terminal import color, echo, echo_for_programs, plain, progress, width

EXAMPLES = (
    Example("A module for one CPython:", "wheelfuse compile m.cpp --target 3.12 --name _m -o pkg"),
    Example("One for all from 3.10 on:", "wheelfuse compile m.cpp --target 3.12 --stable-abi 3.10 -o pkg"),
    Example("With torch and CUDA:", "wheelfuse compile m.cpp k.cu --target 3.12 --torch -o pkg"),
)
SECTIONS = {
    "The module": ("--output", "--target", "--name", "--stable-abi"),
    "torch and CUDA": ("--torch", "--torch-python", "--cuda", "--cuda-arch", "--cudart"),
    "Compilers": (
        "--include", "--define", "--library-dir", "--libraries", "--cxx-flag", "--nvcc-flag", "--ld-flag", "--jobs",
        "--no-cache", "--timeout",
    ),
    "What is shown": ("--json", "--verbose", "--quiet", "--plain"),
}  # fmt: skip


@click.command("compile", cls=Command, no_args_is_help=True, examples=EXAMPLES, sections=SECTIONS)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", shell_complete=completing.sources)
@click.option("-o", "--output", required=True, metavar="DIR", help="Where the module goes.")
@click.option(
    "--target",
    required=True,
    metavar="PYTHON",
    shell_complete=completing.pythons,
    help="An interpreter, which may be bare, or one found here: 3.12, cp312.",
)
@click.option(
    "--name", default="_C", metavar="NAME", help="Of the module: _C (default), or pkg._C for DIR/pkg."
)
@click.option("--torch", is_flag=True, help="Compile against torch: see --torch-python.")
@torch_python_option
@click.option("--cuda", is_flag=True, help="CUDA's headers and run-time library for .cpp files, too.")
@click.option(
    "--cuda-arch",
    "architectures",
    multiple=True,
    metavar="ARCH",
    help="GPU architectures: 9.0a, 8.0+PTX (default: nvcc's own).",
)
@click.option(
    "--cudart",
    type=OneOf(["static", "shared"]),
    help="CUDA's run-time library (default: shared with a torch for CUDA, else static).",
)
@click.option(
    "--stable-abi", default="", metavar="VERSION", help="One .abi3.so for this CPython and newer ones: 3.10."
)
@click.option(
    "-I",
    "--include",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Look for headers there.",
)
@click.option("-D", "--define", multiple=True, metavar="NAME[=VALUE]", help="Define a macro.")
@click.option(
    "-L",
    "--library-dir",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Look for libraries there.",
)
@click.option("-l", "--libraries", multiple=True, metavar="NAMES", help="Link these: nvrtc,cublas, or paths.")
@click.option("--cxx-flag", multiple=True, metavar="FLAG", help="For the C++ compiler, after all others.")
@click.option("--nvcc-flag", multiple=True, metavar="FLAG", help="For nvcc, after all others.")
@click.option("--ld-flag", multiple=True, metavar="FLAG", help="For linking, after all others.")
@click.option(
    "--jobs",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Compile N files at a time (0: all cores).",
)
@click.option("--no-cache", is_flag=True, help="Use neither ccache nor sccache.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="For each file (default: no limit).",
)
@json_option
@click.option("-v", "--verbose", is_flag=True, help="Show the commands, and all that the audit says.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the path of the module.")  # fmt: skip
def command(
    sources: tuple[str, ...],
    output: str,
    target: str,
    name: str,
    torch: bool,
    torch_python: Path | None,
    cuda: bool,
    architectures: tuple[str, ...],
    cudart: str | None,
    stable_abi: str,
    include: tuple[Path, ...],
    define: tuple[str, ...],
    library_dir: tuple[Path, ...],
    libraries: tuple[str, ...],
    cxx_flag: tuple[str, ...],
    nvcc_flag: tuple[str, ...],
    ld_flag: tuple[str, ...],
    jobs: int,
    no_cache: bool,
    timeout: float,
    as_json: bool,
    verbose: bool,
    quiet: bool,
) -> None:
    """Compile C++ and CUDA sources to one extension module for one CPython.

    Of the target only its headers and the suffix of its modules are used: it needs neither pip nor torch, which is
    that of another interpreter. The module is audited before it is written: exits with 5, and writes nothing, if
    something is missing, if a compiler fails, or if the module would not load.
    """
    with refusals("compile", as_json=as_json):
        options = ExtensionOptions(
            name=name,
            cuda=cuda,
            cuda_architectures=_split(architectures),
            cudart=cudart or "",
            torch=torch,
            torch_python=torch_python,
            stable_abi=stable_abi,
            include_directories=include,
            definitions=define,
            library_directories=library_dir,
            libraries=_split(libraries),
            cxx_flags=cxx_flag,
            nvcc_flags=nvcc_flag,
            ld_flags=ld_flag,
            jobs=jobs,
            cache=not no_cache,
            timeout=timeout,
        )
        with progress(quiet, ("compiling", "auditing"), "files") as advance:
            compiled = compile_extension(sources, output, target, options, progress=advance)
    _show(compiled, as_json=as_json, verbose=verbose, quiet=quiet)


def _split(values: tuple[str, ...]) -> tuple[str, ...]:
    """``("a,b;c", "d")`` as four values."""
    return tuple(part for value in values for part in value.replace(";", ",").split(",") if part)


def _show(compiled: CompiledExtension, *, as_json: bool, verbose: bool, quiet: bool) -> None:
    if as_json:
        from wheelfuse.report.compile_json import compiled_to_json

        echo(compiled_to_json(compiled))
    elif quiet:
        echo_for_programs(str(compiled.path))
    else:
        from wheelfuse.report.compile_text import compiled_report

        text = compiled_report(
            compiled, width=width(), color=color(sys.stdout), verbose=verbose, plain=plain()
        )
        echo(text)
