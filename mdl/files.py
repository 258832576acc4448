"""Files written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from mdl.errors import MdlError


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file so that `path` holds either all of the new bytes or what it held before.

    The bytes go to a temporary file in the same folder, which takes the place of `path` once it is on disk. It is
    removed when anything fails, an interrupt included. A symbolic link stays, and the file that it names is replaced.

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
    # a plain open, not tempfile's: the file gets the permissions that the user's umask gives to any new file
    temporary = target.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
