"""Which addresses a process and its descendants listen on, read from /proc, to say "on this machine only"."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

LISTENING = "0A"
LOOPBACK = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")


def exposed_ports(root: int) -> list[int]:
    """The TCP ports on which `root` or a descendant listens for other machines too, ascending."""
    sockets = {inode for pid in family_of(root) for inode in sockets_of(pid)}
    results = set()
    for table in ("tcp", "tcp6"):
        for line in (Path("/proc/net") / table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            address, port = local.split(":")
            if state == LISTENING and rest[5] in sockets and address not in LOOPBACK:
                results.add(int(port, 16))
    return sorted(results)


def family_of(root: int) -> set[int]:
    """A process and all its descendants."""
    parent: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it may end while we look
            parent[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    family = {root}
    while more := {pid for pid, of in parent.items() if of in family} - family:
        family |= more
    return family


def sockets_of(pid: int) -> set[str]:
    """The inodes of a process's open sockets."""
    inodes = set()
    with suppress(OSError):
        for entry in (Path("/proc") / str(pid) / "fd").iterdir():
            with suppress(OSError):
                target = str(entry.readlink())
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    return inodes
