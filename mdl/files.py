"""Files written whole or not at all, names that stay inside their folder, and the room that a file may claim."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

from mdl.errors import MdlError, WeightsError

_TEMPORARY = re.compile(r"\.mdl-[0-9a-f]{16}\.tmp")
_YOUNG = 1.0  # seconds, in which a new file gets its lock


def check_room(path: Path, size: int) -> None:
    """Refuse what unfolds to much more than the file that holds it: 256 MiB, and 256 bytes for each of its own.

    Parameters
    ----------
    path
        A compressed file.
    size
        Bytes that its contents take, as it says before they are read.

    Raises
    ------
    MdlError
        If that is more than the room.

    Examples
    --------
    >>> check_room(Path(__file__), 10**12)
    Traceback (most recent call last):
    mdl.errors.MdlError: expected at most 256 MiB and 256 bytes for each of the file's, came 1,000,000,000,000 bytes
    """
    if size > (1 << 28) + 256 * path.stat().st_size:
        raise MdlError(f"expected at most 256 MiB and 256 bytes for each of the file's, came {size:,} bytes")


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file so that `path` holds either all of the new bytes or what it held before.

    The bytes go to a temporary file in the same folder, which takes the place of `path` once it is on disk. It is
    removed when anything fails, an interrupt included. A writer that was killed leaves its own, which the next writer
    into the folder removes, a second later, where the system has locks to tell by. A symbolic link stays, and the file
    that it names is replaced.

    Parameters
    ----------
    path
        The file to make or replace.
    write
        Called once with a binary stream open for writing; what it returns is ignored.

    Raises
    ------
    MdlError
        If the operating system refuses (no such folder, no permission, no space), or `path` is a folder or device.
        What `write` raises otherwise passes through.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "answer.txt"
    ...     write_atomically(path, lambda stream: stream.write(b"42"))
    ...     path.read_bytes(), len(list(path.parent.iterdir()))
    (b'42', 1)
    """
    try:
        _replace(Path(os.path.realpath(path)), write)
    except OSError as error:
        raise MdlError(f"{path}: cannot be written: {error.strerror or error}") from error


def _replace(target: Path, write: Callable[[BinaryIO], object]) -> None:
    if target.exists() and not target.is_file():
        # a rename over /dev/stdout or /dev/null would put a plain file in its place
        raise OSError("expected a regular file, came a folder or a device")
    _remove_abandoned(target.parent)
    # a plain open, not tempfile's: the file gets the permissions that the user's umask gives to any new file
    temporary = target.parent / f".mdl-{secrets.token_hex(8)}.tmp"
    try:
        with contextlib.ExitStack() as held:
            with temporary.open("xb") as stream:
                _lock(stream, held)
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _remove_abandoned(folder: Path) -> None:
    """Temporary files whose writer is gone: a lock ends with its process, whatever ended that."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if _TEMPORARY.fullmatch(entry.name)]:
            with contextlib.suppress(OSError), (folder / name).open("rb") as stream:
                # of an age, so that no writer loses its file before it has locked it
                if fcntl is not None and time.time() - os.fstat(stream.fileno()).st_mtime > _YOUNG:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    (folder / name).unlink()


def _lock(stream: BinaryIO, held: contextlib.ExitStack) -> None:
    """A lock that outlasts the stream, for as long as the stack or the process."""
    if fcntl is not None:
        held.callback(os.close, os.dup(stream.fileno()))
        with contextlib.suppress(OSError):  # a file system without locks, where nothing is removed either
            fcntl.flock(stream, fcntl.LOCK_EX)


def inside(folder: Path, name: str) -> Path:
    """`folder / name`, unless the name leads out; links are followed: download caches lay models out with them."""
    leads_out = any(
        path.is_absolute() or path.drive or ".." in path.parts for path in (PurePosixPath(name), PureWindowsPath(name))
    )
    if leads_out:
        raise WeightsError(f"file {name!r}: expected a path inside the model's folder, came one that leaves it")
    return folder / name
