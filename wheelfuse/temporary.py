"""Temporary files and directories that do not outlive their process, or are removed by the next one.

Each is locked (flock(2)) while its process lives; the kernel lets go of the lock however that ends. One that has a
name of ours, and that nobody holds, is left from a process that was killed: whoever next makes one in the same place
removes it. Where a file system knows no locks, nothing is ever taken for such a leftover.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PARTIAL = re.compile(r"\..+\.[0-9a-f]{12}\.partial", re.DOTALL)
_SCRATCH = re.compile(r"wheelfuse-[0-9a-f]{12}")
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
def about(path: str | os.PathLike[str]) -> Iterator[None]:
    """Errors of the system in this block are about *path*, whatever file or none they name."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None
        raise


@contextmanager
def beside(path: Path) -> Iterator[tuple[Path, int]]:
    """A new file in the directory of *path*, under a hidden name: its path, and a descriptor for whoever closes it.

    When the block ends, the hidden name is gone; it may have been renamed.

    Raises:
        OSError: it cannot be made; what the error names is *path*.
    """
    _remove_stale(path.parent, _PARTIAL)
    temporary: Path | None = None
    try:
        while True:
            # Known before it is there, since an interrupt may come in between.
            temporary = path.with_name(_hidden(path.name))
            with about(path):
                descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            held = _hold(descriptor)
            if held is None:
                temporary = temporary.rename(_unlockable(temporary))
            if held is not False:
                break
            os.close(descriptor)
        yield temporary, descriptor
    finally:
        if temporary:
            _remove(temporary)


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty directory among the temporary files, which is gone when the block ends.

    Raises:
        TemporaryFileError: it cannot be made.
    """
    with keeping():
        parent = Path(tempfile.gettempdir())
    _remove_stale(parent, _SCRATCH)
    directory: Path | None = None
    handle = -1
    try:
        while handle < 0:
            directory = parent / f"wheelfuse-{secrets.token_hex(6)}"
            with keeping():
                directory.mkdir(mode=0o700)
            with suppress(FileNotFoundError):  # another process took it for stale before it was locked
                handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | _OPENED)
            held = _hold(handle) if handle >= 0 else False
            if held is None:
                directory = directory.rename(_unlockable(directory))
            elif not held and handle >= 0:
                os.close(handle)
                handle = -1
        assert directory
        yield directory
    finally:
        if directory:
            shutil.rmtree(directory, ignore_errors=True)
        if handle >= 0:
            os.close(handle)


def _hidden(name: str) -> str:
    """A name that nobody has. File systems take 255 bytes; what is cut may be half a character."""
    return f".{os.fsdecode(os.fsencode(name)[:80])}.{secrets.token_hex(6)}.partial"


def _unlockable(path: Path) -> Path:
    """A name that is never taken for one of a leftover."""
    return path.with_name(f"{path.name}.unlocked")


def _hold(descriptor: int) -> bool | None:
    """Lock what was just made; False if another process was faster and took it for stale, None if that cannot be."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return os.fstat(descriptor).st_nlink > 0


def _remove(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError as error:
        if not temporary.exists():  # it was renamed, and there is nothing to remove
            return
        what = f"{temporary} could not be removed: {error.strerror}; the next run that writes there will try again"
        warnings.warn(what, LeftBehind, stacklevel=1)


def _remove_stale(directory: Path, ours: re.Pattern[str]) -> None:
    """Remove what processes that were killed left in a directory. What cannot be removed stays."""
    with suppress(OSError), os.scandir(directory) as entries:
        for name in [entry.name for entry in entries if ours.fullmatch(entry.name)]:
            with suppress(OSError):
                _remove_unless_held(directory / name)


def _remove_unless_held(path: Path) -> None:
    is_directory = stat.S_ISDIR(path.lstat().st_mode)
    # Over NFS a lock takes a descriptor for writing, which there is none of for a directory.
    descriptor = os.open(path, _OPENED | (os.O_RDONLY | os.O_DIRECTORY if is_directory else os.O_RDWR))
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or not (is_directory or stat.S_ISREG(found.st_mode)):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path) if is_directory else path.unlink()
    finally:
        os.close(descriptor)
