"""The libraries that ``--with`` finds for real: those that the inputs need, and what these need in turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from wheelfuse.auditing.reading import read_file, walk
from wheelfuse.auditing.subject import Subject
from wheelfuse.elf.image import Image
from wheelfuse.errors import InvalidInput, Problem, UsageError
from wheelfuse.temporary import TemporaryFileError


def find_libraries(directories: Iterable[Path], subjects: Sequence[Subject]) -> dict[str, Image]:
    """File name -> the library, for all that the subjects need and do not have themselves.

    The first directory that has a file of that name counts, within one the first in order of paths.

    Raises:
        UsageError: a directory does not exist, or a library in it is damaged.
        InvalidInput: a directory, or one below it, or a library that is needed cannot be read.
    """
    there = _index(directories)
    found: dict[str, Image] = {}
    pending = {
        needed
        for subject in subjects
        for path, file in subject.files.items()
        for needed in file.image.needed
        if not subject.tree.providers(path, needed)
    }
    while pending:
        name = pending.pop()
        if name in found or name not in there:
            continue
        try:
            shared = read_file(there[name], name)
        except InvalidInput as error:
            raise UsageError(Problem(p.what, str(there[name])) for p in error.problems) from error
        except TemporaryFileError:
            raise
        except OSError as error:
            raise _unreadable(error, there[name]) from error
        if shared:
            found[name] = shared.image
            pending.update(shared.image.needed)
    return found


def _index(directories: Iterable[Path]) -> dict[str, Path]:
    there: dict[str, Path] = {}
    for directory in directories:
        if not directory.is_dir():
            raise UsageError(Problem("no such directory", str(directory), todo="Name a directory or a venv."))
        for path in map(directory.joinpath, walk(directory, _refuse)):
            if ".so" in path.name:
                there.setdefault(path.name, path)
    return there


def _refuse(error: OSError) -> None:
    raise _unreadable(error, Path(error.filename)) from error


def _unreadable(error: OSError, path: Path) -> InvalidInput:
    todo = "Make it readable, or name another directory."
    return InvalidInput(Problem(f"cannot be read: {error.strerror}", str(path), todo=todo))
