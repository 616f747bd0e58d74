"""Whether compiled code may be read: Numba unpickles it, so whoever can write it can run anything where it is
read. `kept` asks before anything is read, and makes what it keeps so that the answer is yes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OTHERS = stat.S_IWGRP | stat.S_IWOTH  # an access list shows in the bits of the group
ONLY_MINE = 0o077
MOST_LINKS = 40  # one after the other, as the kernel follows them


@contextmanager
def only_mine() -> Iterator[None]:
    """Within it files and folders are made for this user alone, by every thread of this process."""
    before = os.umask(ONLY_MINE)
    try:
        yield
    finally:
        os.umask(before)


def is_open_to_others(folder: Path) -> str | None:
    """What lets somebody else than this user and root change a folder, an entry of it, or what is found under
    its name, in words; None if nothing does, or if this platform has no owners.

    On the way there a folder that others may write is fine if it is sticky, as /tmp is: what lies there only
    its owner may put in another's place. Raises OSError if the folder is not there.
    """
    if not hasattr(os, "geteuid"):
        return None
    for step in _way(folder.absolute().parent):
        why = _open(step, may_be_sticky=True)
        if why:
            return why
    if folder.is_symlink() or not folder.is_dir():
        return f"{folder} is no folder"
    return next(filter(None, map(_open, (folder, *folder.iterdir()))), None)


def _way(path: Path, links: int = 0) -> Iterator[Path]:
    """Every folder and every link on the way to a path and at its end, wherever links lead."""
    for step in (*reversed(path.parents), path):
        yield step
        if step.is_symlink() and links < MOST_LINKS:
            yield from _way(step.parent / step.readlink(), links + 1)


def _open(path: Path, may_be_sticky: bool = False) -> str | None:
    try:
        found = path.lstat()
    except FileNotFoundError:  # half a file that has got its name meanwhile
        return None
    if found.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to another user"
    is_sticky = may_be_sticky and bool(found.st_mode & stat.S_ISVTX)
    if found.st_mode & OTHERS and not is_sticky and not stat.S_ISLNK(found.st_mode):
        return f"{path} can be written by others (chmod go-w would mend that)"
    return None
