"""Temporary files and directories that do not outlive their process, or are removed by the next one.

Each is locked (flock(2)) while its process lives; the kernel lets go of the lock however that ends. One that has a
name of ours, and that nobody holds, is left from a process that was killed: whoever next makes one in the same place
removes it. Where a file system knows no locks, nothing is ever taken for such a leftover.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_OPENED = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class LeftBehind(UserWarning):
    """A temporary file could not be removed."""


class TemporaryFileError(OSError):
    """A temporary file cannot be made, written or read: no fault of an input or of the output."""


@contextmanager
def keeping() -> Iterator[None]:
    """Errors of the system in this block are about temporary files; they name the directory of these.

    Raises:
        TemporaryFileError: in place of any other `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise unkept(error) from error


def unkept(error: OSError) -> TemporaryFileError:
    """An error of the system as one about temporary files."""
    try:
        place = tempfile.gettempdir()
    except FileNotFoundError:  # there is no such directory, as the error says
        place = ""
    return TemporaryFileError(error.errno, error.strerror, *filter(None, [place]))


@contextmanager
def beside(path: Path) -> Iterator[tuple[Path, int]]:
    """A new file in the directory of *path*, under a hidden name: its path, and a descriptor for reading and writing.

    When the block ends, the descriptor is closed and the hidden name is gone; it may have been renamed.

    Raises:
        OSError: it cannot be made.
    """
    # File systems take 255 bytes for a name; what is cut may be half a character.
    start = os.fsdecode(os.fsencode(path.name)[:80])
    with _FILES.new(path.parent, lambda letters: f".{start}.{letters}.partial") as made:
        yield made


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty directory among the temporary files, which is gone when the block ends.

    Raises:
        TemporaryFileError: it cannot be made.
    """
    with ExitStack() as stack:
        with keeping():
            parent = Path(tempfile.gettempdir())
            directory, _ = stack.enter_context(_DIRECTORIES.new(parent, "wheelfuse-{}".format))
        yield directory


def remove_leftovers(directory: Path) -> None:
    """Remove the files of :func:`beside` that processes which were killed left in a directory."""
    _FILES.remove_stale(directory)


@dataclass(frozen=True)
class _Kind:
    """Temporary files, or directories: what leftovers are called, and how one is made, opened again, and removed."""

    names: re.Pattern[str]
    is_one: Callable[[int], bool]
    make: Callable[[Path], int]
    reopen: int
    remove: Callable[[Path], None]

    @contextmanager
    def new(self, parent: Path, name: Callable[[str], str]) -> Iterator[tuple[Path, int]]:
        """One that is there, and locked, while the block runs: its path and a descriptor."""
        self.remove_stale(parent)
        while True:
            with suppress(_TakenForStale), self._made(parent / name(secrets.token_hex(6))) as made:
                yield made
                return

    @contextmanager
    def _made(self, path: Path) -> Iterator[tuple[Path, int]]:
        descriptor = -1
        try:  # from before it is there, since an interrupt may come in between
            descriptor = self.make(path)
            if not _lock(descriptor):  # nobody may take it for a leftover
                path = path.rename(path.with_name(f"{path.name}.unlocked"))
            yield path, descriptor
        finally:
            self._remove_or_tell(path)
            if descriptor >= 0:
                os.close(descriptor)

    def _remove_or_tell(self, path: Path) -> None:
        try:
            self.remove(path)
        except OSError as error:
            if os.path.lexists(path):  # or else it was renamed, and there is nothing to remove
                what = f"{path} could not be removed: {error.strerror}; the next run that writes there will try again"
                warnings.warn(what, LeftBehind, stacklevel=1)

    def remove_stale(self, directory: Path) -> None:
        """Remove what processes that were killed left in a directory. What cannot be removed stays."""
        with suppress(OSError), os.scandir(directory) as entries:
            for name in [entry.name for entry in entries if self.names.fullmatch(entry.name)]:
                with suppress(OSError):
                    self._remove_unless_held(directory / name)

    def _remove_unless_held(self, path: Path) -> None:
        descriptor = os.open(path, self.reopen | _OPENED)
        try:
            found = os.fstat(descriptor)
            if found.st_uid == os.geteuid() and self.is_one(found.st_mode):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.remove(path)
        finally:
            os.close(descriptor)


class _TakenForStale(Exception):
    """Another process removes what was just made, since it was not locked yet."""


def _lock(descriptor: int) -> bool:
    """Lock what was just made; False where a file system knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _TakenForStale from None
    except OSError:
        return False
    if not os.fstat(descriptor).st_nlink:
        raise _TakenForStale
    return True


def _make_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _make_directory(path: Path) -> int:
    path.mkdir(mode=0o700)
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | _OPENED)
    except FileNotFoundError:
        raise _TakenForStale from None


def _remove_directory(path: Path) -> None:
    """With all that is in it, also what a program made read-only."""
    try:
        shutil.rmtree(path)
    except PermissionError:
        path.chmod(0o700)
        for place, names, _ in os.walk(path):
            for inside in (Path(place, name) for name in names):
                if not inside.is_symlink():
                    inside.chmod(0o700)
        shutil.rmtree(path)


_FILES = _Kind(
    re.compile(r"\..+\.[0-9a-f]{12}\.partial", re.DOTALL),
    stat.S_ISREG,
    _make_file,
    os.O_RDWR,  # over NFS a lock takes a descriptor for writing, which there is none of for a directory
    Path.unlink,
)
_DIRECTORIES = _Kind(
    re.compile(r"wheelfuse-[0-9a-f]{12}"),
    stat.S_ISDIR,
    _make_directory,
    os.O_RDONLY | os.O_DIRECTORY,
    _remove_directory,
)
