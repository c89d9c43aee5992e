"""One import in a process of its own, and what its end says about the wheel."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from packaging.utils import canonicalize_name

from wheelfuse.abi.providers import Provider, Source, provider
from wheelfuse.interpreters.environments import Environment
from wheelfuse.processes import Finished, run
from wheelfuse.temporary import scratch
from wheelfuse.verifying.claims import Claims, Module, ModuleFile
from wheelfuse.verifying.results import Outcome, Result
from wheelfuse.wheel.record import encode_digest, file_digest

PROGRAM = Path(__file__).with_name("import_one.py")

_NO_LIBRARY = re.compile(  # ld.so of glibc; that of musl
    r"(?P<glibc>[^\s/:]+): cannot open shared object file|Error loading shared library (?P<musl>[^\s/:]+): No such"
)
_FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+)', re.MULTILINE)
_IMPORTED_FIRST = frozenset({"torch"})
"""Distributions whose users import them before what links their libraries."""

_FORMERLY_STDLIB = frozenset({
    "aifc", "asynchat", "asyncore", "audioop", "binhex", "cgi", "cgitb", "chunk", "crypt", "distutils",
    "formatter", "imghdr", "imp", "lib2to3", "mailcap", "msilib", "nis", "nntplib", "ossaudiodev",
    "parser", "pipes", "smtpd", "sndhdr", "spwd", "sunau", "symbol", "telnetlib", "uu", "xdrlib",
})  # fmt: skip
"""What CPython 3.8 had and a later one lacks: to miss it is a fault of the wheel."""


@dataclass(frozen=True)
class Raised:
    """One exception of a chain, as `import_one` describes it: *module* is what an ImportError could not import,
    *path* the file that it could not load, *where* the innermost place in a file."""

    type: str
    message: str
    module: str
    path: str
    where: str

    @property
    def line(self) -> str:
        """Type, and the first line of the message that says something."""
        said = next((line.strip() for line in self.message.splitlines() if line.strip()), "")
        return f"{self.type}: {said}" if said else self.type

    @property
    def library(self) -> str:
        """The shared library that was not found, if that is what it says."""
        match = _NO_LIBRARY.search(self.message)
        return (match["glibc"] or match["musl"]) if match else ""

    @property
    def is_plain(self) -> bool:
        """Whether it tells by itself what is missing or broken, so that what came before it does not matter."""
        return bool(self.library or self.path.endswith(".so") or self.type == "ModuleNotFoundError")

    @property
    def is_vague(self) -> bool:
        """Whether code raised it in place of what import said (``numpy.core.multiarray failed to import``)."""
        return self.type == "ImportError" and not (self.library or self.module or self.path)


@dataclass(frozen=True)
class Answer:
    """What the process wrote down: fields of the same names in `import_one`."""

    importing: str
    origin: str
    is_ours: bool
    gil: bool
    errors: tuple[Raised, ...]


@dataclass(frozen=True)
class Attempt:
    """How a process ended, what it wrote down before (None: nothing), and where it was when it was killed."""

    finished: Finished
    answer: Answer | None
    stack: str


@dataclass(frozen=True)
class Importer:
    """Imports the modules of one wheel in one environment. *required*: what the wheel requires there."""

    claims: Claims
    environment: Environment
    required: tuple[str, ...]
    no_deps: bool
    timeout: float
    stop: Event | None = None

    def result(self, module: Module, file: ModuleFile) -> Result:
        """Import *module*, which is expected to come from *file*.

        Where it lacks a library of torch, and torch is installed, torch is imported first, as its users do.
        """
        attempt = self._attempt(module, file)
        wanted = self._to_import_first(attempt)
        if not wanted:
            return self._judged(attempt, module, file)
        second = self._judged(self._attempt(module, file, wanted), module, file)
        if second.outcome is not Outcome.OK:
            return second
        note = f"loads once {wanted} was imported, and not by itself"
        return replace(second, reason=": ".join(filter(None, (note, second.reason))))

    def _attempt(self, module: Module, file: ModuleFile, *before: str) -> Attempt:
        with scratch() as directory:
            answer, trace, work = directory / "answer", directory / "trace", directory / "work"
            work.mkdir()
            how = "open" if module.is_library else "import"
            finished = run(
                [self.environment.python, "-I", PROGRAM, answer, trace, module.name, file.installed, how, *before],
                cwd=work, env=self.environment.variables(), timeout=self.timeout, stop=self.stop,
            )  # fmt: skip
            return Attempt(finished, _read_answer(answer), self._innermost(trace))

    def _innermost(self, trace: Path) -> str:
        """The innermost place of which the traceback of a killed process tells; empty if only import was at work."""
        text = trace.read_text(errors="replace") if trace.exists() else ""
        for match in _FRAME.finditer(text):
            file = Path(match["file"])
            machinery = match["file"].startswith("<frozen") or file.parent.name == "importlib"
            if not machinery and file != PROGRAM:
                path = re.sub(r"^.*/site-packages/", "", match["file"])
                return f"{path}, line {match['line']}"
        return ""

    def _to_import_first(self, attempt: Attempt) -> str:
        answer = attempt.answer
        library = self._supplier(_cause(answer).library) if answer and answer.errors else None
        if not library or library.distribution not in _IMPORTED_FIRST:
            return ""
        return library.distribution if library.distribution in self._installed() else ""

    def _judged(self, attempt: Attempt, module: Module, file: ModuleFile) -> Result:
        outcome, reason = self._verdict(attempt, module, file)
        return Result(outcome, reason, attempt.finished.output, attempt.finished.seconds)

    def _verdict(self, attempt: Attempt, module: Module, file: ModuleFile) -> tuple[Outcome, str]:
        finished, answer = attempt.finished, attempt.answer
        if answer and answer.errors:
            return self._verdict_on_error(answer, module)
        if not finished.ok:
            where = f"; it was in {attempt.stack}" if attempt.stack else ""
            return _verdict_on_end(finished, where, imported=bool(answer))
        if answer is None:
            return Outcome.CRASHED, "the process ended with exit status 0 during the import"
        if not answer.is_ours:
            return Outcome.FAILED, f"another file was imported: {answer.origin or 'none that is known'}"
        entry = file.entry
        if encode_digest(file_digest(Path(answer.origin), entry.algorithm)) != entry.digest:
            return Outcome.FAILED, f"{answer.origin} is not the file of this wheel: something replaced it"
        return Outcome.OK, "the GIL was turned on for it" if answer.gil else ""

    def _verdict_on_error(self, answer: Answer, module: Module) -> tuple[Outcome, str]:
        outcome, reason = self._lacking(_cause(answer))
        stage = f"importing {answer.importing}: " if answer.importing != module.name else ""
        return outcome, f"{stage}{_told(answer)}{reason}"

    def _lacking(self, cause: Raised) -> tuple[Outcome, str]:
        """Whether an exception is the wheel's fault, and what to add to it."""
        if cause.library:
            return self._lacking_library(cause.library)
        if cause.type == "ModuleNotFoundError":
            return self._lacking_module(cause.module)
        if self.no_deps and cause.is_vague and set(self.required) - self._installed():
            return Outcome.NOT_VERIFIED, " (what the wheel requires is not installed: --no-deps)"
        return Outcome.FAILED, ""

    def _lacking_library(self, library: str) -> tuple[Outcome, str]:
        supplier = self._supplier(library)
        if not supplier:
            return Outcome.FAILED, ""
        if supplier.source is Source.DRIVER:
            return Outcome.NOT_VERIFIED, " (part of the GPU driver, which this machine lacks)"
        if supplier.source is Source.INTERPRETER:
            return Outcome.FAILED, ""
        if there := sorted(self._installed().intersection(supplier.distributions)):
            return Outcome.FAILED, f" ({there[0]} has it and is installed, but the file does not find it)"
        if self.no_deps:
            return Outcome.NOT_VERIFIED, f" (it comes from {supplier}, which is not installed: --no-deps)"
        if named := supplier.named_in(self.required):
            return (
                Outcome.FAILED,
                f" (it comes from {supplier}; the wheel requires {named}, which did not bring it)",
            )
        return Outcome.FAILED, f" (it comes from {supplier}, which the wheel does not require)"

    def _lacking_module(self, name: str) -> tuple[Outcome, str]:
        top = name.partition(".")[0]
        if top in self.claims.top_level or top in sys.stdlib_module_names | _FORMERLY_STDLIB:
            return Outcome.FAILED, ""
        if self.no_deps and self.required:
            return Outcome.NOT_VERIFIED, " (not installed: --no-deps)"
        return Outcome.FAILED, " (nothing that the wheel requires brings it; --with can)"

    def _supplier(self, library: str) -> Provider | None:
        """Who supplies a library from outside of the wheel, if that is known."""
        if not library or library in self.claims.file_names:
            return None
        return provider(library, self.required)

    def _installed(self) -> frozenset[str]:
        """What is installed in the environment (normalised names)."""
        places = [str(path) for path in self.environment.directory.glob("lib*/python3*/site-packages")]
        found = importlib.metadata.distributions(path=places)
        return frozenset(str(canonicalize_name(one.metadata["Name"] or "")) for one in found)


def _read_answer(path: Path) -> Answer | None:
    """What the process wrote down; None if it did not come to that."""
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError):  # killed before it wrote, or while
        return None
    told["errors"] = tuple(Raised(**error) for error in told["errors"])
    return Answer(**told)


def _cause(answer: Answer) -> Raised:
    """The exception that tells what is wrong: the outermost that says so plainly, or else the outermost."""
    return next((error for error in answer.errors if error.is_plain), answer.errors[0])


def _told(answer: Answer) -> str:
    """The exception in a line, with its cause if that is another one, and where it was raised."""
    outer, cause = answer.errors[0], _cause(answer)
    where = f" ({cause.where})" if cause.where else ""
    if cause is outer or cause.message.strip() in outer.message:
        return f"{outer.line}{where}"
    return f"{outer.line}; caused by {cause.line}{where}"


def _verdict_on_end(finished: Finished, where: str, *, imported: bool) -> tuple[Outcome, str]:
    """What a process says that did not end well by itself, and raised nothing."""
    when = "it was imported, but then the process" if imported else "the process"
    if finished.timed_out:
        return Outcome.HUNG, f"{when} did not end in time{where}"
    if finished.signal is not None:
        return Outcome.CRASHED, f"{when} was killed by {finished.signal_name}{where}"
    return Outcome.CRASHED, f"{when} ended with exit status {finished.returncode}{where}"
