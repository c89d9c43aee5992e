"""The commands that make an extension module for one target: from values to values, nothing is run here.

The same sources below the same directory give the same commands, but for the directory of the outputs: what ends up
in the files are paths relative to the working directory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wheelfuse.building.toolchain import Cuda, through_cache, without_cache
from wheelfuse.building.torch import Torch
from wheelfuse.errors import UsageError
from wheelfuse.interpreters.probe import Interpreter
from wheelfuse.target import Target

CXX_SUFFIXES, CUDA_SUFFIXES = (".cpp", ".cc", ".cxx", ".c++"), (".cu",)

_CXX = ("-fPIC", "-fvisibility=hidden", "-std=c++20", "-O3", "-DNDEBUG")
_NVCC = ("-std=c++20", "-O3", "-DNDEBUG", "-Xcompiler=-fPIC,-fvisibility=hidden")
_ARCHITECTURE = re.compile(r"(\d+)\.(\d)([af]?)(\+PTX)?")
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*", re.ASCII)
_VERSION = re.compile(r"3\.(\d+)")


@dataclass(frozen=True)
class ExtensionOptions:
    """How to compile an extension module.

    *name* is dotted; the file is named after its last part, and lies in the directories of the others. *cuda* gives
    C++ sources the headers and the run-time library of CUDA, which .cu sources have in any case;
    *cuda_architectures* are written as in ``TORCH_CUDA_ARCH_LIST`` (``9.0a``, ``8.0+PTX``), and without any nvcc
    takes its own default. *cudart* is ``static`` or ``shared``; by default the run-time library is shared with a
    torch for CUDA, which brings it, and else static. *torch* compiles against the torch of *torch_python*, or of
    ``WHEELFUSE_TORCH_PYTHON``, or of the running interpreter. *stable_abi* is the oldest CPython of the limited API
    (``3.10``). *definitions* are ``NAME`` or ``NAME=VALUE``, *libraries* names as for ``-l`` or paths. *cxx_flags*,
    *nvcc_flags* and *ld_flags* come after all others. *jobs* compilers run at a time (0: one per core), through
    ccache or sccache if there is one and *cache* is given. Each command may take *timeout* seconds (0: for ever).
    """

    name: str = "_C"
    cuda: bool = False
    cuda_architectures: tuple[str, ...] = ()
    cudart: str = ""
    torch: bool = False
    torch_python: Path | None = None
    stable_abi: str = ""
    include_directories: tuple[Path, ...] = ()
    definitions: tuple[str, ...] = ()
    library_directories: tuple[Path, ...] = ()
    libraries: tuple[str, ...] = ()
    cxx_flags: tuple[str, ...] = ()
    nvcc_flags: tuple[str, ...] = ()
    ld_flags: tuple[str, ...] = ()
    jobs: int = 0
    cache: bool = True
    timeout: float = 0

    def __post_init__(self) -> None:
        """Hold the texts against their grammars.

        Raises:
            UsageError: one of them makes no sense.
        """
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"--name {self.name!r} is no dotted name of a module such as pkg._C")
        if self.stable_abi and not _VERSION.fullmatch(self.stable_abi):
            raise UsageError(f"--stable-abi {self.stable_abi!r} is no version such as 3.10")
        if self.cudart not in ("", "static", "shared"):
            raise UsageError(f"--cudart {self.cudart!r} is neither static nor shared")
        for architecture in self.cuda_architectures:
            if not _ARCHITECTURE.fullmatch(architecture):
                raise UsageError(f"--cuda-arch {architecture!r} is not written as 9.0, 9.0a or 8.0+PTX")

    @property
    def module(self) -> str:
        """The last part of the name, which the init function carries."""
        return self.name.rpartition(".")[2]

    @property
    def oldest(self) -> Target | None:
        """The oldest CPython of the limited API that is asked for."""
        match = _VERSION.fullmatch(self.stable_abi)
        return Target(int(match[1])) if match else None

    def file_name(self, interpreter: Interpreter) -> str:
        """The path of the module below the output directory."""
        suffix = ".abi3.so" if self.stable_abi else interpreter.ext_suffix
        return self.name.replace(".", "/") + suffix


@dataclass(frozen=True)
class Toolchain:
    """What compiles and what is compiled against; *cuda* and *torch* only where they are used."""

    interpreter: Interpreter
    cxx: tuple[str, ...]
    cache: Path | None = None
    cuda: Cuda | None = None
    torch: Torch | None = None


@dataclass(frozen=True)
class Command:
    """A command, the file that it makes, and what it is made of, for messages."""

    words: tuple[str, ...]
    output: Path
    subject: str


def compile_commands(
    sources: Sequence[Path], options: ExtensionOptions, tools: Toolchain, directory: Path, scratch: Path
) -> tuple[Command, ...]:
    """One command for each source, to be run in *directory*; the object files go to *scratch*."""
    commands = []
    for number, source in enumerate(sources):
        output = scratch / f"{number}-{source.name}.o"
        host = [f"-frandom-seed={_relative(source, directory)}", *_prefix_maps(tools, directory)]
        if source.suffix in CUDA_SUFFIXES:
            compiler, given = _nvcc(options, tools), options.nvcc_flags
            host = [f"-Xcompiler={flag}" for flag in host]
        else:
            compiler, given = (*through_cache(tools.cxx, tools.cache), *_CXX), options.cxx_flags
        words = [*compiler, *_common(options, tools), *host, *given, "-c", str(source), "-o", str(output)]
        commands.append(Command(tuple(words), output, str(source)))
    return tuple(commands)


def link_command(
    objects: Sequence[Path], options: ExtensionOptions, tools: Toolchain, output: Path
) -> Command:
    """The command that makes the module of its object files."""
    directories = [*options.library_directories]
    libraries = [library if "/" in library else f"-l{library}" for library in options.libraries]
    if torch := tools.torch:
        directories.append(torch.library_directory)
        libraries += _torch_libraries(options, torch, cuda=tools.cuda is not None)
    if tools.cuda:
        directories += tools.cuda.library_directories
        brought = "shared" if torch and torch.cuda else "static"
        if (options.cudart or brought) == "shared":
            libraries.append(str(tools.cuda.runtime or "-lcudart"))
        else:
            libraries += ["-lcudart_static", "-ldl", "-lrt", "-lpthread"]
    words = [*tools.cxx, "-shared", "-Wl,--as-needed", *map(str, objects)]
    words += [f"-L{directory}" for directory in directories]
    return Command((*words, *libraries, *options.ld_flags, "-o", str(output)), output, options.module)


def _torch_libraries(options: ExtensionOptions, torch: Torch, *, cuda: bool) -> Iterator[str]:
    # libtorch.so defines nothing, but leads to libtorch_cuda.so where there is one, and so weak references there.
    yield from ("-Wl,--push-state,--no-as-needed", "-ltorch", "-Wl,--pop-state", "-ltorch_cpu", "-lc10")
    if not options.stable_abi:
        yield "-ltorch_python"  # of the driver's CPython; that of the target is there when the module is loaded
    if cuda and torch.cuda:
        yield from ("-ltorch_cuda", "-lc10_cuda")


def _nvcc(options: ExtensionOptions, tools: Toolchain) -> tuple[str, ...]:
    assert tools.cuda, "who has .cu sources has looked for nvcc"
    compiler = through_cache((str(tools.cuda.nvcc),), tools.cache)
    host = f"-ccbin={without_cache(tools.cxx)[0]}"
    return (*compiler, host, *_NVCC, *_generate(options.cuda_architectures))


def _generate(architectures: Sequence[str]) -> Iterator[str]:
    for architecture in architectures:
        match = _ARCHITECTURE.fullmatch(architecture)
        assert match, "checked by ExtensionOptions"
        number = f"{match[1]}{match[2]}{match[3]}"
        yield f"-gencode=arch=compute_{number},code=sm_{number}"
        if match[4]:
            yield f"-gencode=arch=compute_{number},code=compute_{number}"


def _common(options: ExtensionOptions, tools: Toolchain) -> Iterator[str]:
    """Definitions and directories of headers: of the project, of Python, and of what is installed."""
    torch, cuda, interpreter = tools.torch, tools.cuda, tools.interpreter
    definitions = [*options.definitions]
    if options.oldest:
        definitions.append(f"Py_LIMITED_API=0x03{options.oldest.minor:02X}0000")
    if torch:
        definitions += [
            f"TORCH_EXTENSION_NAME={options.module}",
            "TORCH_API_INCLUDE_EXTENSION_H",
            f"_GLIBCXX_USE_CXX11_ABI={int(torch.cxx11_abi)}",
        ]
    yield from (f"-D{definition}" for definition in definitions)
    yield from (f"-I{directory}" for directory in options.include_directories)
    yield f"-I{interpreter.include}"
    system = [*(torch.include_directories if torch else ()), *(cuda.include_directories if cuda else ())]
    for directory in system:
        yield from ("-isystem", str(directory))


def _prefix_maps(tools: Toolchain, directory: Path) -> Iterator[str]:
    """Where things lie must not show in the file; of several that match, the last one counts."""
    yield f"-ffile-prefix-map={directory}=."
    if tools.torch:
        yield f"-ffile-prefix-map={tools.torch.directory}=torch"


def _relative(source: Path, directory: Path) -> str:
    absolute = directory / source
    return absolute.relative_to(directory).as_posix() if absolute.is_relative_to(directory) else source.name
