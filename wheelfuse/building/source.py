"""The source tree that wheels are built from: its files, a digest of them, and copies of it.

``python -m wheelfuse.building.source PROJECT DIRECTORY`` makes such a copy.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wheelfuse import processes
from wheelfuse.errors import InvalidInput, Problem
from wheelfuse.wheel.record import file_digest

_EARLIEST = 315532800
"""1980-01-01: zip files, and so wheels, know no time before."""

_NOT_SOURCES = frozenset({".git", ".hg", ".svn", "__pycache__"})
_SIGNS_OF_NO_SOURCES = ("pyvenv.cfg", "CACHEDIR.TAG")  # virtual environments; caches (bford.info/cachedir)
_GIT_TIMEOUT = 300.0  # seconds


@dataclass(frozen=True)
class Source:
    """The files below *root* that a build may use; the project is in the directory *project* of it.

    Where git tracks the project, *root* is the top of the repository (a project may build from what lies beside
    it), and the files are those that git tracks, submodules' too, or would track. *git* is the directory with the
    repository itself. *digest* stands for names, contents and modes; *epoch* is the time of the last commit, or of
    the newest file, in seconds since 1970: what SOURCE_DATE_EPOCH is set to.
    """

    root: Path
    project: str
    files: tuple[str, ...]
    digest: str
    epoch: int
    git: Path | None = None

    @property
    def has_device_code(self) -> bool:
        """Whether there are sources for GPUs."""
        return any(name.endswith((".cu", ".cuh")) for name in self.files)

    def copy(self, directory: Path) -> None:
        """Copy the files into *directory*, replacing what is there; times and modes are kept.

        The copy stands in the same git repository, so that versions can be made of its tags.
        """
        if directory.exists():
            shutil.rmtree(directory)
        directory.mkdir(parents=True)
        made: set[Path] = set()
        for name in self.files:
            path = directory / name
            if path.parent not in made:
                path.parent.mkdir(parents=True, exist_ok=True)
                made.add(path.parent)
            shutil.copy2(self.root / name, path, follow_symlinks=False)
        if self.git:
            (directory / ".git").write_text(f"gitdir: {self.git}\n", encoding="utf-8")


def read(project: Path, *, ignored: bool = False, without: Iterable[Path] = ()) -> Source:
    """The source tree of the project in a directory; *ignored*: with the files that git is told to ignore.

    Directories *without* are no part of it.

    Raises:
        InvalidInput: git refuses the repository, or a source cannot be read.
    """
    try:
        return _read(project.resolve(), ignored, without)
    except OSError as error:
        todo = "Make it readable, or keep it elsewhere if it is no source."
        where = error.filename or project
        raise InvalidInput(
            Problem(f"a source that cannot be read: {error.strerror}", str(where), todo=todo)
        ) from error


def _read(project: Path, ignored: bool, without: Iterable[Path]) -> Source:
    outside = tuple(path.resolve() for path in without)
    git, root, names = _of_git(project)
    prefix = "" if root == project else f"{project.relative_to(root).as_posix()}/"
    if f"{prefix}pyproject.toml" not in names:  # git is told to ignore it, or there is no repository
        git, root, prefix, names = None, project, "", ()
    if ignored or not git:
        names = tuple(_all_files(root, outside))
    files = tuple(sorted({name for name in names if _is_source(root / name, outside)}))
    epoch = _commit_time(root) if git else max((int((root / n).lstat().st_mtime) for n in files), default=0)
    return Source(root, prefix.rstrip("/"), files, _digest(root, files), max(epoch, _EARLIEST), git)


def _is_source(path: Path, outside: tuple[Path, ...]) -> bool:
    if any(path.is_relative_to(directory) for directory in outside):
        return False
    return path.is_symlink() or path.is_file()  # what git tracks may have been deleted


def _all_files(root: Path, outside: tuple[Path, ...]) -> Iterator[str]:
    for place, directories, names in os.walk(root, onerror=_refuse):
        here = Path(place)
        directories[:] = [name for name in directories if _may_hold_sources(here / name, outside)]
        linked = [name for name in directories if (here / name).is_symlink()]
        yield from (
            (here / name).relative_to(root).as_posix() for name in (*names, *linked) if name != ".git"
        )


def _refuse(error: OSError) -> None:
    raise error


def _may_hold_sources(directory: Path, outside: tuple[Path, ...]) -> bool:
    if directory.name in _NOT_SOURCES or directory in outside:
        return False
    return not any(path.name in _SIGNS_OF_NO_SOURCES for path in directory.iterdir())


def _of_git(project: Path) -> tuple[Path | None, Path, tuple[str, ...]]:
    """The repository, its top directory, and the files it tracks or would track; without one, nothing."""
    if not any((directory / ".git").exists() for directory in (project, *project.parents)):
        return None, project, ()
    if not shutil.which("git"):
        return None, project, ()
    directory, root = _git(project, "rev-parse", "--absolute-git-dir", "--show-toplevel").splitlines()
    top = Path(root)
    tracked = _git(top, "ls-files", "-z", "--cached", "--recurse-submodules")
    untracked = _git(top, "ls-files", "-z", "--others", "--exclude-standard")
    return Path(directory), top, tuple(name for name in (tracked + untracked).split("\0") if name)


def _commit_time(root: Path) -> int:
    try:
        return int(_git(root, "log", "-1", "--format=%ct"))
    except (InvalidInput, ValueError):  # there is no commit yet
        return 0


def _git(directory: Path, *arguments: str) -> str:
    said: list[bytes] = []
    command = ["git", "-C", str(directory), "-c", "core.quotePath=off", *arguments]
    environment = processes.environment({"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8"})
    finished = processes.run(command, env=environment, timeout=_GIT_TIMEOUT, on_output=said.append)
    if not finished.ok:
        raise InvalidInput(
            Problem(f"git {arguments[0]} {finished.why()}: {finished.tail(5)}", str(directory))
        )
    return os.fsdecode(b"".join(said))


def _digest(root: Path, files: Iterable[str]) -> str:
    """SHA-256 over each file's name, kind, whether it is executable, and content."""
    whole = hashlib.sha256()
    for name in files:
        path = root / name
        if path.is_symlink():
            kind, digest = "link", hashlib.sha256(os.fsencode(path.readlink())).digest()
        else:
            kind, digest = "program" if path.stat().st_mode & 0o100 else "file", file_digest(path)
        whole.update(b"%s\0%s\0%s\n" % (os.fsencode(name), kind.encode(), digest))
    return whole.hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """The program: copy the sources of a project as a build does."""
    parser = argparse.ArgumentParser(prog="python -m wheelfuse.building.source", description=main.__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--without", type=Path, action="append", default=[], help="a directory to leave out")
    parser.add_argument("--all-files", action="store_true", help="also those that git is told to ignore")
    given = parser.parse_args(arguments)
    read(given.project, ignored=given.all_files, without=given.without).copy(given.directory)


if __name__ == "__main__":
    main()
