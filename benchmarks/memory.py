"""The memory of a process and of all that it started, while it runs; and the CPU time of these.
PSS counts a page that several processes share once, so actors that share an interpreter are not wronged."""

from __future__ import annotations

import os
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path

EVERY_S = 0.25


def peak_pss_mib(child: subprocess.Popen[str], limit_s: float) -> float:
    """The highest sum of PSS over a child's process tree until it ends, MiB.

    Looks every quarter of a second, so a shorter peak is missed. Kills the child and raises TimeoutError
    after `limit_s` seconds.
    """
    ends, peak = time.monotonic() + limit_s, 0.0
    while child.poll() is None:
        peak = max(peak, sum(_pss_mib(process) for process in tree(child.pid)))
        if time.monotonic() > ends:
            child.kill()
            raise TimeoutError(f"process {child.pid} ran for more than {limit_s:g} s")
        time.sleep(EVERY_S)
    return peak


def tree_cpu_s(root: int) -> float:
    """User and system seconds that the process and all its descendants have taken so far."""
    ticks = 0
    for process in tree(root):
        with suppress(OSError):
            after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(after_name[11]) + int(after_name[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """The process and all its descendants, those of every thread."""
    found = [root]
    for process in found:
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            with suppress(OSError):  # it may be gone already
                found += map(int, children.read_text().split())
    return found


def _pss_mib(process: int) -> float:
    with suppress(OSError):
        kib = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{process}/smaps_rollup").read_text(), re.MULTILINE)
        if kib:
            return int(kib[1]) / 2**10
    return 0.0
