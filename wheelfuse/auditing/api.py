"""Audit as a function of paths: what the command line and :mod:`wheelfuse` offer."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from wheelfuse.auditing import baseline as baselines
from wheelfuse.auditing.inputs import Progress, StrPath, read_all
from wheelfuse.auditing.libraries import find_libraries
from wheelfuse.auditing.options import AuditOptions, require_rules
from wheelfuse.auditing.report import Report
from wheelfuse.auditing.road import roads
from wheelfuse.auditing.runner import judge, run
from wheelfuse.auditing.subject import Against, Subject
from wheelfuse.errors import InvalidInput, Problem, UsageError
from wheelfuse.escape import as_bytes
from wheelfuse.wheel.limits import DEFAULT_LIMITS, Limits
from wheelfuse.wheel.outputs import followed, replacing


def audit(
    paths: Iterable[StrPath] | StrPath = (),
    options: AuditOptions | None = None,
    *,
    installed: Iterable[str] = (),
    python: str | None = None,
    with_: Iterable[StrPath] = (),
    project: StrPath | None = None,
    baseline: StrPath | Iterable[StrPath] | None = None,
    facts: bool = False,
    jobs: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Report:
    """Judge wheels, shared objects, directories, zip files with wheels, and *installed* distributions.

    A directory that holds wheels stands for them, any other for the tree in it. *python* is the interpreter
    (or venv) to look for distributions in. *with_* are directories or venvs with libraries that are needed
    from elsewhere; *project* is a pyproject.toml whose requires-python the inputs are held against; *baseline*
    a file of `write_baseline`, or several, the oldest first, of which the last one counts and all are in the report's
    ``decline``. *facts* keeps what is known of each input in the report, for the page of it. *jobs* is how many
    processors may read (0: all): threads for one input, and processes for several, so that a script needs
    ``if __name__ == "__main__"`` around the call.
    Wheels beyond the *limits* are findings, and nothing of them is inflated.

    Raises:
        UsageError: nothing to audit, an unknown interpreter, or an unusable project or baseline.
    """
    options = options or AuditOptions()
    require_rules(options)
    directories = tuple(map(Path, with_))
    files = tuple(map(Path, _several(baseline)))
    counts = tuple(map(_read_baseline, files))
    against = Against(
        str(project or ""),
        _requires_python(Path(project)) if project else "",
        counts[-1] if counts else None,
    )

    def prepare(subject: Subject) -> Subject:
        subject = replace(subject, against=against)
        if not directories:  # or else the libraries in them are yet to be found
            judge(subject, options)
        return subject

    subjects = read_all(
        paths,
        installed=installed,
        python=python,
        jobs=jobs,
        limits=limits,
        progress=progress,
        prepare=prepare,
    )
    if directories:
        against = replace(against, libraries=find_libraries(directories, subjects))
        subjects = tuple(replace(subject, against=against) for subject in subjects)
    report = run(subjects, options, roads(subjects), facts=facts)
    if not counts:
        return report
    points = (*zip(map(str, files), counts, strict=True), ("now", baselines.count(subjects)))
    return replace(report, decline=tuple((name, baselines.total(found)) for name, found in points))


def write_baseline(
    file: StrPath,
    paths: Iterable[StrPath] | StrPath = (),
    *,
    installed: Iterable[str] = (),
    python: str | None = None,
    jobs: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> baselines.Counts:
    """Write what files have of unstable symbols today to *file*, as what they may have at most from now on.

    Returns what was written: file -> kind of symbol -> how many.

    Raises:
        UsageError: nothing to audit, or an unknown interpreter.
        InvalidInput: an input cannot be read: its counts would be wrong.
        WriteFailed: the disk is full, or the like.
    """
    subjects = read_all(
        paths, installed=installed, python=python, jobs=jobs, limits=limits, progress=progress
    )
    if unreadable := [problem for subject in subjects for problem in subject.unreadable]:
        raise InvalidInput(unreadable)
    counts = baselines.count(subjects)
    with replacing(followed(Path(file)), overwrite=True) as output:
        output.write(as_bytes(baselines.render(counts)))
    return counts


def _several(given: StrPath | Iterable[StrPath] | None) -> tuple[StrPath, ...]:
    """One or more paths, in any case as several."""
    if given is None:
        return ()
    return (given,) if isinstance(given, (str, os.PathLike)) else tuple(given)


def _requires_python(project: Path) -> str:
    from wheelfuse.auditing.project import read_requires_python  # and with it a parser of TOML

    return read_requires_python(project)


def _read_baseline(path: Path) -> baselines.Counts:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            Problem(f"cannot be read: {error}", str(path), todo="--write-baseline makes one.")
        ) from error
    return baselines.parse(text, str(path))
