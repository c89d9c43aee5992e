"""One extension module for one CPython, which may be bare: compiled with the torch and CUDA of this machine."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from wheelfuse.auditing.api import audit
from wheelfuse.auditing.finding import Severity
from wheelfuse.auditing.report import Outcome, Report
from wheelfuse.building.commands import (
    CUDA_SUFFIXES,
    CXX_SUFFIXES,
    Command,
    ExtensionOptions,
    Toolchain,
    compile_commands,
    link_command,
)
from wheelfuse.building.diagnosis import diagnosis
from wheelfuse.building.toolchain import find_cache, find_cuda, find_cxx
from wheelfuse.building.torch import INSTALL, Torch
from wheelfuse.building.torch import find as find_torch
from wheelfuse.errors import JobFailed, Problem, UsageError
from wheelfuse.escape import shell_line
from wheelfuse.interpreters.matrix import Matrix, assign
from wheelfuse.interpreters.probe import Interpreter, Unusable, probe
from wheelfuse.interpreters.search import find, parse_python
from wheelfuse.processes import Finished, StrPath, run
from wheelfuse.target import Target
from wheelfuse.temporary import keeping, scratch
from wheelfuse.wheel.outputs import make_executable, replacing
from wheelfuse.workers import processors

Progress = Callable[[int, int], None]
"""Called with the files compiled so far, and those to compile in all."""

MOST_LINES = 60
"""How many lines of what a compiler printed an error shows: the first, for later ones follow from them."""


@dataclass(frozen=True)
class CompiledExtension:
    """A module that was written, with what the audit says of it. *size* is in bytes, *seconds* by the clock.

    *commands* are those that were run, as a shell would take them.
    """

    path: Path
    target: Target
    size: int
    sha256: str
    seconds: float
    commands: tuple[str, ...]
    report: Report


def compile_extension(
    sources: Iterable[StrPath] | StrPath,
    output: StrPath,
    target: StrPath | Target,
    options: ExtensionOptions | None = None,
    *,
    progress: Progress | None = None,
) -> CompiledExtension:
    """Compile *sources* (C++ and CUDA) to an extension module for *target*, below the directory *output*.

    *target* is an interpreter, or a target (``cp312``) of which this machine has one. Of the interpreter only its
    headers and the suffix of its modules are used: it needs neither torch nor pip. The module is written only if the
    audit finds that it loads there. *progress* is told how many files are compiled.

    Raises:
        UsageError: the request makes no sense: no sources, or some that do not exist.
        OSError: a source cannot be looked at.
        JobFailed: something to compile with is missing, a compiler failed, or the audit found an error.
        WriteFailed: the output cannot be written.
    """
    begun = time.monotonic()
    options = options or ExtensionOptions()
    files = _checked([sources] if isinstance(sources, (str, os.PathLike)) else sources)
    tools = _toolchain(files, options, _interpreter(target, options))
    with scratch() as directory:
        built = directory / "built" / options.file_name(tools.interpreter)
        commands = _build(files, options, tools, directory, built, progress or (lambda _, __: None))
        path = Path(output) / options.file_name(tools.interpreter)
        report = _audited(built, path, tools, options, directory)
        data = built.read_bytes()
        with replacing(path.absolute(), overwrite=True) as file:
            file.write(data)
            make_executable(file)
    return CompiledExtension(
        path, tools.interpreter.target, len(data), hashlib.sha256(data).hexdigest(),
        time.monotonic() - begun, tuple(shell_line(command.words) for command in commands), report,
    )  # fmt: skip


def _checked(sources: Iterable[StrPath]) -> tuple[Path, ...]:
    files = tuple(dict.fromkeys(map(Path, sources)))
    if not files:
        raise UsageError("there is nothing to compile: name .cpp or .cu files")
    known = (*CXX_SUFFIXES, *CUDA_SUFFIXES)
    problems = [Problem("no such file", str(file)) for file in files if not _is_file(file)]
    problems += [
        Problem(f"is not a source file with one of the suffixes {', '.join(known)}", str(file))
        for file in files
        if file.suffix not in known
    ]
    if problems:
        raise UsageError(problems)
    return files


def _is_file(path: Path) -> bool:
    """As the method of a path, which newer Pythons let answer no where nobody may look."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _interpreter(target: StrPath | Target, options: ExtensionOptions) -> Interpreter:
    meant = target if isinstance(target, Target) else parse_python(os.fspath(target))
    # links are not resolved: one into an environment is that environment
    interpreter = _installed(meant) if isinstance(meant, Target) else _named(meant.absolute())
    if (oldest := options.oldest) and (interpreter.target < oldest or interpreter.target.free_threaded):
        raise UsageError(
            Problem(
                f"--stable-abi {options.stable_abi} does not go with the headers of {interpreter.target}",
                str(interpreter.path), todo=f"Take a CPython {options.stable_abi} or newer, with the GIL.",
            )
        )  # fmt: skip
    return interpreter


def _named(path: Path) -> Interpreter:
    answer = probe(path)
    if isinstance(answer, Unusable):
        raise JobFailed(
            Problem(answer.reason, str(path), todo="Name a CPython with headers, or its target: cp312.")
        )
    if answer.include is None:
        raise JobFailed(
            Problem(answer.no_headers, str(path), todo="Install its headers, or name another one.")
        )
    return answer


def _installed(target: Target) -> Interpreter:
    (row,) = assign(Matrix("", (target,)), find()).rows
    if row.interpreter:
        return row.interpreter
    todo = "Name an interpreter by its path, or see `wheelfuse pythons`."
    raise JobFailed(Problem(row.why_not, str(target), todo=todo))


def _toolchain(files: Sequence[Path], options: ExtensionOptions, interpreter: Interpreter) -> Toolchain:
    """All that is needed, and every complaint about what is missing at once."""
    problems: list[Problem] = []
    tools = Toolchain(interpreter, ())
    try:
        tools = replace(tools, cxx=find_cxx(), cache=find_cache() if options.cache else None)
    except JobFailed as error:
        problems += error.problems
    try:
        if options.cuda or options.cuda_architectures or any(file.suffix in CUDA_SUFFIXES for file in files):
            tools = replace(tools, cuda=find_cuda())
    except JobFailed as error:
        problems += error.problems
    try:
        if options.torch or options.torch_python:
            tools = replace(tools, torch=_torch(options))
    except JobFailed as error:
        problems += error.problems
    if problems:
        raise JobFailed(problems)
    return tools


def _torch(options: ExtensionOptions) -> Torch:
    found = find_torch(options.torch_python)
    if found is None:
        raise JobFailed(Problem("the Python that runs wheelfuse has no torch", todo=INSTALL))
    return found


def _build(
    files: Sequence[Path],
    options: ExtensionOptions,
    tools: Toolchain,
    scratch: Path,
    built: Path,
    progress: Progress,
) -> tuple[Command, ...]:
    """Compile and link to *built*; returns what was run."""
    here = Path.cwd()
    compiling = compile_commands(files, options, tools, here, scratch)
    stop = Event()

    def one(command: Command) -> Problem | None:
        if stop.is_set():
            return None
        done = run(command.words, timeout=options.timeout or None, stop=stop)
        if done.ok or stop.is_set():  # by the failure of another
            return None
        stop.set()
        return _failed(command, done)

    with keeping():
        built.parent.mkdir(parents=True)
    linking = link_command([command.output for command in compiling], options, tools, built)
    with ThreadPoolExecutor(options.jobs or processors()) as pool:
        try:
            problems = []
            progress(0, len(compiling))
            for done, problem in enumerate(pool.map(one, compiling), 1):
                problems += [problem] if problem else []
                progress(done, len(compiling))
        except BaseException:
            stop.set()  # or else the end of the block would wait for the compilers
            raise
    if problems := problems or list(filter(None, [one(linking)])):
        raise JobFailed(problems)
    return (*compiling, linking)


def _failed(command: Command, done: Finished) -> Problem:
    lines = done.output.rstrip().splitlines()
    shown = [
        *lines[:MOST_LINES],
        *([f"… and {len(lines) - MOST_LINES} more lines"] if lines[MOST_LINES:] else []),
    ]
    program = Path(command.words[0]).name
    cause = diagnosis(done.output)
    first = f"{cause}: {program} {done.why()}" if cause else f"{program} {done.why()}"
    return Problem("\n".join([first, *shown]), command.subject, todo=shell_line(command.words))


def _audited(built: Path, path: Path, tools: Toolchain, options: ExtensionOptions, scratch: Path) -> Report:
    """What the audit says of the module, which will be *path*: that it loads on its target, with this torch."""
    report = audit([built], with_=[_libraries(tools.torch, scratch)] if tools.torch else [])
    problems = [
        Problem(
            "\n".join([f"{finding.code}: {finding.message}", *finding.details]), str(path), todo=finding.todo
        )
        for finding in report.findings
        if finding.severity is Severity.ERROR
    ]
    cells = [cell for subject in report.subjects for row in subject.answer.modules for cell in row.cells]
    problems = problems or [
        Problem("\n".join([f"would not load on {cell.target}", *cell.reasons]), str(path))
        for cell in cells
        if cell.outcome in (Outcome.FAILS, Outcome.MISSING) and _meant_for(cell.target, tools, options)
    ]
    if problems:
        raise JobFailed(problems)
    return _called(report, str(path))


def _libraries(torch: Torch, scratch: Path) -> Path:
    """A directory with the libraries of torch, but for the one that is made for the CPython of the driver."""
    directory = scratch / "torch"
    libraries = torch.library_directory.glob("*.so*")
    with keeping():
        directory.mkdir()
        for library in libraries:
            if not library.name.startswith("libtorch_python"):
                (directory / library.name).symlink_to(library)
    return directory


def _meant_for(target: Target, tools: Toolchain, options: ExtensionOptions) -> bool:
    if options.oldest:
        return target >= options.oldest and not target.free_threaded
    return target == tools.interpreter.target


def _called(report: Report, label: str) -> Report:
    """The report of one file, under the name that the file will have."""
    return replace(
        report,
        subjects=tuple(
            replace(
                subject,
                label=label,
                findings=tuple(replace(each, subject=label) for each in subject.findings),
            )
            for subject in report.subjects
        ),
        roads=tuple(replace(road, subject=label) for road in report.roads),
    )
