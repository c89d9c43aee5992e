"""Merge and split as functions of paths: what the command line and :mod:`wheelfuse` offer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from wheelfuse.errors import ConflictError, InvalidInput, Problem, UsageError, WheelfuseError
from wheelfuse.fuse.device_code import could_save, damaged_code, is_worth_it
from wheelfuse.fuse.execute import Written, execute
from wheelfuse.fuse.held_code import read_held_code
from wheelfuse.fuse.looking import Look
from wheelfuse.fuse.mentions import mentions
from wheelfuse.fuse.options import NAMES, MergeOptions
from wheelfuse.fuse.plan import Plan, make_plan, with_code_left, with_shared_code
from wheelfuse.fuse.reading import Progress, read_sources
from wheelfuse.fuse.split import SplitWheel, chosen, originals_in, write_originals
from wheelfuse.fuse.survey import survey
from wheelfuse.target import Target
from wheelfuse.wheel.archive import Archive, wheels_in
from wheelfuse.wheel.limits import DEFAULT_LIMITS, Limits
from wheelfuse.wheel.outputs import Add, followed, together, writing
from wheelfuse.wheel.writer import Timestamp, timestamp

INDEX_LIMIT = 100 << 20
"""What the public index takes for one file by default, in bytes."""
_BOMB_SIZE, _BOMB_RATIO = 64 << 20, 50


@dataclass(frozen=True)
class MergeOutcome:
    """What a merge did: the inputs (name and size in bytes of each), the plan, and the wheel (None: a dry run).

    *debug_files* keep what was cut out for debuggers, if that was asked for.
    """

    inputs: tuple[tuple[str, int], ...]
    plan: Plan
    written: Written | None
    debug_files: tuple[Path, ...] = ()

    @property
    def saved_in_wheel(self) -> int:
        """What sharing GPU code saves in the wheel, in bytes, if each copy packs as well as the carrier does."""
        sharing = self.plan.sharing
        if not self.written or not sharing.carrier:
            return 0
        return round(self.written.carrier_size * sharing.saved / sharing.carrier.section_size)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What deserves attention, but does not stand in the way."""
        return (*self.plan.warnings, *(_index_limits(self.written) if self.written else ()))


@dataclass(frozen=True)
class Attempt:
    """A merge as far as it came, for a report of it.

    *inputs* are the wheels that were given. *outcome* is None if not even a plan could be made, *error* why there is
    no wheel (None: there is, or none was wanted). *archive* is the fused wheel, complete, which gets its name together
    with the report; None if none was written.
    """

    inputs: tuple[Path, ...]
    limits: Limits
    outcome: MergeOutcome | None
    error: WheelfuseError | None = None
    archive: Archive | None = None


@dataclass(frozen=True)
class ReportFile:
    """A file that tells how a merge went, be it that it was refused: where it goes, and what makes its text."""

    path: Path
    render: Callable[[Attempt], str]

    def write(self, attempt: Attempt, add: Add) -> None:
        """Add it to the files that take their places together."""
        text = self.render(attempt)
        add(followed(self.path), overwrite=True).write(text.encode("utf-8", "backslashreplace"))

    def write_alone(self, attempt: Attempt) -> None:
        """Write it where there is no wheel to write."""
        with together() as add:
            self.write(attempt, add)


def _index_limits(written: Written) -> Iterator[Problem]:
    """What the public index would not take as a matter of course."""
    size, name = written.size / (1 << 20), written.path.name
    if written.size > INDEX_LIMIT:
        yield Problem(f"{size:.0f} MiB: the public index takes more than 100 MiB only on request", name)
    if written.installed_size > _BOMB_SIZE and written.installed_size > _BOMB_RATIO * written.size:
        yield Problem("packed to less than a fiftieth: the public index takes that for a zip bomb", name)


def merge(
    paths: Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str] = ".",
    options: MergeOptions | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
    debug_files: str | os.PathLike[str] | None = None,
    report: ReportFile | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> MergeOutcome:
    """Fuse the wheels at *paths* (files, or directories that hold some) into one.

    *output* is a directory, or a file name that must be the one that the fused wheel gets. *force* lets an
    existing file be replaced, but never an input. What ``strip_debug`` cuts out is kept in the directory
    *debug_files*, where debuggers find it by build ID; a file that has no build ID keeps it. *report* (see
    :func:`wheelfuse.report_to`) is written together with the wheel, and also if the merge is refused. Wheels beyond
    the *limits* are refused before anything of them is inflated.

    Raises:
        UsageError: no wheels, an output that makes no sense or exists, *debug_files* without ``strip_debug``,
            or a library is missing that compares GPU code.
        InvalidInput: an input is damaged, contradicts itself, or breaks the contract of its name.
        ConflictError: the wheels are sound, but nobody may settle their differences silently. Its *outcome* has the
            plan, if the wheels are of one release.
        WriteFailed: the disk is full, or the like.
    """
    options = options or MergeOptions()
    if debug_files and not options.strip_debug:
        raise UsageError(Problem("--debug-files keeps what --strip-debug cuts out, which was not asked for"))
    wheels = tuple(find_wheels(paths))
    if report:
        _refuse_input(report.path, wheels)
    try:
        with opened(wheels, limits) as archives:
            plan = _planned(archives, options, progress, keep_debug=debug_files is not None)
            outcome = MergeOutcome(tuple((archive.name, archive.size) for archive in archives), plan, None)
            error = plan.error()
            if dry_run:
                if report:
                    report.write_alone(Attempt(wheels, limits, outcome, error))
                return outcome
            if error:
                error.outcome = outcome
                raise error
            with writing(output):
                path = _output_path(Path(output), str(plan.name), archives, force)
            kept_in = Path(debug_files) if debug_files else None
            return _written(outcome, archives, path, kept_in, report, progress, force=force)
    except (InvalidInput, ConflictError) as error:
        if report:
            report.write_alone(Attempt(wheels, limits, error.outcome, error))
        raise


def _written(
    outcome: MergeOutcome,
    archives: Sequence[Archive],
    path: Path,
    debug_files: Path | None,
    report: ReportFile | None,
    progress: Progress | None,
    *,
    force: bool,
) -> MergeOutcome:
    """Write the fused wheel with what goes with it: all of it or nothing."""
    if report and _is_same(report.path, path):
        raise UsageError(Problem("the report would replace the fused wheel", str(report.path)))
    stamp, plan = _stamp(), outcome.plan
    kept: tuple[Path, ...] = ()
    with together() as add:
        if debug_files:  # first, so that where there is the wheel there are its debug files
            from wheelfuse.fuse.debug_files import write_debug_files  # rare, and slow to load

            kept = write_debug_files(plan.outputs, archives, debug_files, add, overwrite=force)
        file = add(path, overwrite=force)
        written = execute(plan, archives, file, path, stamp, progress)
        outcome = replace(outcome, written=written, debug_files=kept)
        if report:
            limits = archives[0].limits
            with Archive(path, limits, written=file) as archive:
                wheels = tuple(archive.path for archive in archives)
                report.write(Attempt(wheels, limits, outcome, archive=archive), add)
    return outcome


def _refuse_input(path: Path, wheels: Iterable[Path]) -> None:
    """An input is never overwritten."""
    if any(_is_same(path, wheel) for wheel in wheels):
        raise UsageError(
            Problem("the report would replace an input", str(path), todo="Choose another name for it.")
        )


def _is_same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def plan(
    paths: Iterable[str | os.PathLike[str]],
    options: MergeOptions | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Plan:
    """What :func:`merge` would do with these wheels; its conflicts and refusals are part of the plan.

    Raises:
        UsageError: no wheels.
        InvalidInput: an input is damaged, or contradicts itself.
        ConflictError: the wheels are not of one release, or two are for one CPython.
    """
    with opened(find_wheels(paths), limits) as archives:
        return _planned(archives, options or MergeOptions(), None)


def split(
    path: str | os.PathLike[str],
    directory: str | os.PathLike[str] = ".",
    targets: Sequence[Target] = (),
    *,
    force: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> tuple[SplitWheel, ...]:
    """Write the single-Python wheels that a fused wheel holds into *directory*; all, or those for *targets*.

    Raises:
        UsageError: the wheel is not fused, a target is not in it, or a file exists and *force* is not given.
        InvalidInput: the wheel is damaged, or beyond the *limits*.
        WriteFailed: the disk is full, or the like.
    """
    with opened(find_wheels([path]), limits) as archives:
        if len(archives) > 1:
            raise UsageError(Problem("holds more than one wheel", str(path), todo="Name the wheel to split."))
        (archive,) = archives
        originals = chosen(originals_in(read_sources((archive,), progress)[0]), targets)
        with writing(directory):
            for original in originals:
                _refuse_existing(Path(directory) / str(original.name), [archive], force)
        return write_originals(
            originals, (archive,), Path(directory), _stamp(), overwrite=force, progress=progress
        )


def find_wheels(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The wheel files that are meant: files as they are, of directories every ``*.whl``; each file once.

    Raises:
        UsageError: there are none, or a path does not exist.
        InvalidInput: a path cannot be looked at.
    """
    found: dict[str, Path] = {}
    problems = []
    for given in map(Path, paths):
        try:
            inside = wheels_in(given)
        except FileNotFoundError:
            problems.append(Problem("no such file or directory", str(given)))
            continue
        if not inside:
            problems.append(Problem("no wheel in this directory", str(given)))
        for path in inside:
            found.setdefault(os.path.realpath(path), path)
    if problems:
        raise UsageError(problems)
    if not found:
        raise UsageError(
            Problem("no wheels were given", todo="Name the wheels of one release, or their directory.")
        )
    return list(found.values())


@contextmanager
def opened(paths: Iterable[Path], limits: Limits = DEFAULT_LIMITS) -> Iterator[tuple[Archive, ...]]:
    """The archives, open while the block runs; the problems of all of them in one error."""
    problems: list[Problem] = []
    archives = []
    with ExitStack() as stack:
        for path in paths:
            try:
                archives.append(stack.enter_context(Archive(path, limits)))
            except InvalidInput as error:
                problems += error.problems
        if problems:
            raise InvalidInput(problems)
        yield tuple(archives)


def _planned(
    archives: Sequence[Archive], options: MergeOptions, progress: Progress | None, *, keep_debug: bool = False
) -> Plan:
    asked, names = options.share_device_code, options.share_device_code == NAMES
    if names:
        from wheelfuse.elf.payloads import require_libraries

        require_libraries()
    look = Look(device_code=True, keep=bool(asked), debug=bool(options.strip_debug), build_id=keep_debug)
    found = survey(archives, progress, look, options.resolve)
    plan = make_plan(found, options)
    seen = found.facts.device_code
    if names or is_worth_it(could_save(plan.outputs, seen), asked):
        code = read_held_code(archives, plan.outputs, seen, names=names)
        plan = with_shared_code(plan, found.facts, code, asked)
    else:
        plan = with_code_left(plan, seen)
    warnings = (*plan.warnings, *damaged_code(found.originals, seen), *mentions(plan, archives))
    return replace(plan, warnings=warnings)


def _output_path(output: Path, name: str, archives: Sequence[Archive], force: bool) -> Path:
    """Where the fused wheel goes. Installers read the tags from the file name, so no other name will do."""
    if output.suffix == ".whl" and not output.is_dir():
        if output.name != name:
            raise UsageError(
                Problem(
                    f"the fused wheel must be called {name}, since installers go by the tags in the name",
                    str(output),
                    todo=f"Give the directory: -o {output.parent}",
                )
            )
        path = output
    elif output.exists() and not output.is_dir():
        raise UsageError(
            Problem("not a directory", str(output), todo="Name a directory, or the wheel itself.")
        )
    else:
        path = output / name
    _refuse_existing(path, archives, force)
    return path


def _refuse_existing(path: Path, archives: Sequence[Archive], force: bool) -> None:
    if not path.exists():
        return
    if any(path.samefile(archive.path) for archive in archives):
        raise UsageError(
            Problem("the output would replace an input", str(path), todo="Choose another directory.")
        )
    if not force:
        raise UsageError(
            Problem("exists already", str(path), todo="Choose another directory, or add --force.")
        )
    if not path.is_file():
        raise UsageError(
            Problem("exists already, and is no file", str(path), todo="Choose another directory.")
        )


def _stamp() -> Timestamp:
    try:
        return timestamp(os.environ)
    except ValueError as error:
        raise UsageError(f"SOURCE_DATE_EPOCH is not a number of seconds: {error}") from error
