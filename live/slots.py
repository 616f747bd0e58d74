"""Which of the equal processes behind Ray Serve is which replica: places held by locks on files.
A lock ends with its process, so a replica that was killed has left its place. Needs the standard library."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from pathlib import Path

from live.service import Law

LOOK_S = 0.01  # wall time between two looks for a free place


class Slots:
    """The places in a folder, of which `usable` may be held."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._law_of = -1, Law([], [], 0, 0.0, 1.0)

    def allow(self, usable: int) -> None:
        """From now on only places below this number are taken."""
        self._write("usable", str(usable))

    def hold(self) -> int:
        """Waits for a place, the lowest that is free, and holds it as long as this process lives."""
        while True:
            for place in range(int((self._folder / "usable").read_text())):
                handle = os.open(self._folder / f"slot-{place}", os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(handle)
                    continue
                os.ftruncate(handle, 0)
                os.write(handle, str(os.getpid()).encode())
                return place
            time.sleep(LOOK_S)

    def holder(self, place: int) -> int | None:
        """The process that holds a place."""
        try:
            with (self._folder / f"slot-{place}").open("r+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read() or 0) or None
        except FileNotFoundError:
            pass
        return None

    def kill(self, place: int) -> None:
        """Ends who holds a place, at once."""
        pid = self.holder(place)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def tell_law(self, law: Law) -> None:
        self._write("law", json.dumps(law._asdict()))

    def law(self) -> Law:
        """As it was told last."""
        path = self._folder / "law"
        changed = path.stat().st_mtime_ns
        if self._law_of[0] != changed:
            self._law_of = changed, Law(**json.loads(path.read_text()))
        return self._law_of[1]

    def _write(self, name: str, text: str) -> None:
        hidden = self._folder / f".{name}"
        hidden.write_text(text)
        hidden.replace(self._folder / name)
