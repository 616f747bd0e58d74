"""Writes files that appear whole or not at all, and removes what writers that were killed left of theirs.
Everything that goes into a run folder or a cache passes through here."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sim.errors import BadInput

UNFINISHED = ".partial"  # ends the name of a file that is being written
SUMS = "SHA256SUMS"  # checksums of the files beside and below it, as `sha256sum -c` reads them
OF_WRITING = {errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # what no reader is told


def in_words(error: OSError, path: Path | str | None = None) -> str:
    """What the system refused, in the one style: `PATH: cannot be written (Read-only file system)`.

    path: what was to be written; where none is given, what the error names.
    """
    name, why = path or error.filename, error.strerror or str(error)
    if name is None:
        return why
    return f"{name}: cannot be {'written' if path or error.errno in OF_WRITING else 'used'} ({why})"


def require_writable(folder: Path, option: str) -> None:
    """Raises BadInput, naming the option, if nothing can be written into `folder`, or where it is to be made.

    Leaves nothing: the folder is not made either.
    """
    try:
        place = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b" ")
            file.flush()
    except OSError as error:
        raise BadInput(f"{option} {in_words(error, folder)}") from None


def require_writable_file(path: Path, option: str) -> None:
    """The same of a file, which may be there. Raises BadInput, too, where a folder stands at `path`."""
    require_writable(path.parent, option)
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise BadInput(f"{option} {in_words(error, path)}") from None
    if is_folder:
        raise BadInput(f"{option} {path}: is a folder, and a file is to stand there")


def write_whole(path: Path, content: bytes) -> None:
    """Puts `content` at `path` at once: a reader sees the old file or the new one, never a part."""
    with _appearing(path) as (handle, _), open(handle, "wb", closefd=False) as file:
        file.write(content)


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Within it an empty file to be written, which at the end takes its place at `path`, or is gone.

    It lies in the same folder, so that the rename stays within one file system, and is locked as long as its
    writer lives: see `sweep`. Raises BadInput where a folder stands at `path`.
    """
    with _appearing(path) as (_, name):
        yield Path(name)


@contextmanager
def _appearing(path: Path) -> Iterator[tuple[int, str]]:
    """The same, open and by name."""
    try:
        handle, name = _hidden(path)
    except OSError as error:
        error.filename = str(path)  # the one that somebody knows
        raise
    try:
        yield handle, name
        os.fsync(handle)
        os.fchmod(handle, 0o644)  # it begins as 0600, and results are made to be shared
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, IsADirectoryError) and path.is_dir():
            raise BadInput(f"{path}: is a folder, and a file is to stand there; move it away") from None
        if isinstance(error, OSError) and error.filename in (None, name):
            error.filename = str(path)
        raise
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Removes the unfinished files below `folder` of writers that were killed, on this or another machine.

    Where the file system knows no locks nobody can tell who lives, and they stay.
    """
    for path in folder.rglob(f".*{UNFINISHED}"):
        with locked(path) as is_nobodys, suppress(OSError):  # a cache may be one that others write
            if is_nobodys and path.is_file():
                path.unlink()


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Within it a file or folder is locked, unless somebody else holds it; says whether it is.

    The lock ends with the process, and leaves nothing.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:  # another one removes it too
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = True
    except OSError:
        is_ours = False
    try:
        yield is_ours
    finally:
        os.close(handle)


def write_synced(path: Path, content: bytes) -> None:
    """Writes a file and waits until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Waits until the disk has the folder's own entries: names and renames."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _hidden(path: Path) -> tuple[int, str]:
    """A new file beside `path`, open and locked, and its name."""
    while True:
        try:
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=UNFINISHED, dir=path.parent)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            continue
        with suppress(OSError):  # as on some network file systems
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, name
        os.close(handle)  # somebody swept it before it was locked
