"""Whether this process may map the addresses, start the threads and open the files that it needs.
A library that may not breaks in some way of its own: it hangs, kills the process, or blames a file. Imports
nothing that takes time, since it comes before all other imports."""

from __future__ import annotations

import threading
from resource import RLIM_INFINITY, RLIMIT_AS, RLIMIT_NOFILE, getrlimit, setrlimit
from typing import NamedTuple

from sim.errors import BadInput

KIB, GIB = 2**10, 2**30
STACK_BYTES = 2**16


class Needs(NamedTuple):
    """What is needed for a smooth start, and what to do where there is less."""

    addresses: int  # bytes
    threads: int
    files: int  # open at once
    who: str
    remedy: str


WITHOUT = Needs(2 * GIB, 32, 64, "this", "")
# Files that each process may have open: of Ray's the most had 58 with one worker, 60 with two, 70 with six.
WITH_RAY = Needs(20 * GIB, 320, 256, "Ray with its processes", "; --local and --jobs 1 do without it")


def require_room(needs: Needs = WITHOUT) -> None:
    """Raises BadInput where a limit on this process is below what is needed."""
    limit = getrlimit(RLIMIT_AS)[0]
    if limit != RLIM_INFINITY and limit < needs.addresses:
        raise BadInput(
            f"too little memory may be mapped: ulimit -v {limit // KIB} allows {limit / GIB:.1f} GiB of "
            f"addresses, {needs.who} needs {needs.addresses // GIB} GiB or more: ulimit -v unlimited"
            f"{needs.remedy}"
        )
    files = files_that_open(needs.files)
    if files < needs.files:
        raise BadInput(
            f"too few files may be open: {files}, {needs.who} needs {needs.files} or more: "
            f"raise the limit (ulimit -Hn, or that of the container){needs.remedy}"
        )
    started = threads_that_start(needs.threads)
    if started < needs.threads:
        raise BadInput(
            f"too few threads may be started: {started} more, {needs.who} needs {needs.threads} or more: "
            f"raise the limit of processes (ulimit -u, or that of the container){needs.remedy}"
        )


def files_that_open(count: int) -> int:
    """How many files this process may have open, up to `count`, its own limit raised as far as it may be."""
    soft, hard = (2**63 if one == RLIM_INFINITY else one for one in getrlimit(RLIMIT_NOFILE))
    if soft < min(count, hard):
        setrlimit(RLIMIT_NOFILE, (min(count, hard), getrlimit(RLIMIT_NOFILE)[1]))
    return min(count, hard)


def threads_that_start(count: int) -> int:
    """How many of `count` threads can be started now; they end at once."""
    end, started = threading.Event(), list[threading.Thread]()
    usual = threading.stack_size(STACK_BYTES)
    try:
        for _ in range(count):
            one = threading.Thread(target=end.wait, daemon=True)
            one.start()
            started.append(one)
    except RuntimeError:
        pass
    finally:
        threading.stack_size(usual)
        end.set()
        for one in started:
            one.join()
    return len(started)
