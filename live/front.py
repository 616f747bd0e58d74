"""A server of plain processes: one queue before replicas that are processes of their own.
Runs as a process, `python -m live.front PORT`; whoever connects first is its client, and it ends with them.
Needs the standard library alone.

Lines of JSON. In: the terms; then ["law", {...}], ["model", folder], ["usable", replicas],
["ask", attempt, factor, work, sample, due]. Out: ["usable", replicas] when these are there,
["word", attempt, what, started, ended, replica, batch_size, label, came, waiting].
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import selectors
import signal
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from live.replica import KEEPS_MEMORY
from live.service import Law

# -S: without the packages of the environment, of which one that sleeps needs none, it is there sooner.
SLEEPER = [sys.executable, "-S", "-E", str(Path(__file__).with_name("replica.py"))]
COMPUTER = [sys.executable, "-m", "live.replica"]


class Replica:
    """A process that serves a batch at a time."""

    def __init__(self, index: int) -> None:
        self.index, self.batch = index, list[list[Any]]()
        self.began = 0.0  # when the batch left the queue
        self.process: asyncio.subprocess.Process | None = None
        self.coming: asyncio.Task[None] | None = None  # another process of it,
        self.begun: asyncio.subprocess.Process | None = None  # which is not ready yet
        self.is_wanted = False  # whether it may take another batch

    @property
    def is_idle(self) -> bool:
        return self.process is not None and self.is_wanted and not self.batch


class Front:
    """The queue, and who is served."""

    def __init__(self, out: asyncio.StreamWriter, terms: dict[str, Any]) -> None:
        self._out, self._terms = out, terms
        self._law: Law
        self._waiting: deque[list[Any]] = deque()  # attempt, factor, work, sample, due, when it came
        self._replicas = [Replica(index) for index in range(terms["replicas"])]
        self._reading: dict[int, asyncio.Task[None]] = {}
        self._due: asyncio.TimerHandle | None = None
        self._command, self._ends = SLEEPER, False
        self.usable = 0

    def take_law(self, law: dict[str, Any]) -> None:
        self._law = Law(**law)

    def ask(self, attempt: int, factor: float, work: float, sample: int, due: float | None) -> None:
        """One more is at the door."""
        terms, n = self._terms, len(self._waiting)
        is_idle = any(replica.is_idle for replica in self._replicas)
        at_once = is_idle and (terms["batch_wait_s"] == 0 or n + 1 >= terms["max_batch"])
        limit = terms["queue_limit"]
        if self.usable == 0 and terms["when_down"] != "queue":
            self._say(attempt, "down" if terms["when_down"] == "refuse" else "lost")
        elif limit is not None and n >= limit and not at_once:
            self._say(attempt, "queue_full")
        else:
            self._waiting.append([attempt, factor, work, sample, due, time.monotonic()])
            self.serve()

    def serve(self) -> None:
        """Starts every batch that may start, each on the idle replica with the lowest index."""
        terms = self._terms
        for replica in self._replicas:
            if not replica.is_idle:
                continue
            n = len(self._waiting)
            if n == 0:
                return
            if n < terms["max_batch"] and terms["batch_wait_s"] > 0:
                left = self._waiting[0][5] + terms["batch_wait_s"] - time.monotonic()
                if left > 0:
                    if self._due is None:
                        self._due = asyncio.get_running_loop().call_later(left, self._on_due)
                    return
            self._start(replica)

    def _on_due(self) -> None:
        self._due = None
        self.serve()

    def _start(self, replica: Replica) -> None:
        batch: list[list[Any]] = []
        now = time.monotonic()
        while self._waiting and len(batch) < self._terms["max_batch"]:
            asked = self._waiting.popleft()
            if self._terms["drop_expired"] and asked[4] is not None and now > asked[4]:
                self._say(asked[0], "expired")
            else:
                batch.append(asked)
        if batch:
            replica.batch, replica.began = batch, now
            works, samples = ([asked[place] for asked in batch] for place in (2, 3))
            order = self._law.order(replica.index, batch[0][1], works, samples, now)
            assert replica.process is not None
            assert replica.process.stdin is not None
            replica.process.stdin.write(json.dumps(order).encode() + b"\n")

    def _say(self, attempt: int, what: str, *told: Any) -> None:
        rest = told or (None, None, -1, 0, None, None)
        self.send(["word", attempt, what, *rest, len(self._waiting)])

    def send(self, line: list[Any]) -> None:
        self._out.write(json.dumps(line).encode() + b"\n")

    async def set_usable(self, usable: int) -> None:
        """Stops those with the highest indices, or starts them."""
        fewer, self.usable = usable < self.usable, usable
        if fewer:
            for replica in self._replicas[usable:]:
                replica.is_wanted = False
                if not self._terms["finishes"]:
                    await self._kill(replica)
                    if self._command is not SLEEPER:  # loads its model meanwhile, and waits at its place
                        self._boot(replica)
            if usable == 0 and not self._terms["queue_survives"]:
                while self._waiting:
                    self._say(self._waiting.popleft()[0], "lost")
        else:
            wanted = self._replicas[:usable]
            for replica in wanted:
                replica.is_wanted = True
            await asyncio.gather(*(self._boot(replica) for replica in wanted if replica.process is None))
        self.send(["usable", usable])
        self.serve()

    async def take_model(self, folder: str) -> None:
        """From now on replicas answer by the model of a folder: others come in the place of all."""
        self._command = [*COMPUTER, folder]
        for replica in self._replicas:
            await self._kill(replica)
        await self.set_usable(self.usable)

    def _boot(self, replica: Replica) -> asyncio.Task[None]:
        """Its process, which is there once this is over."""
        if replica.coming is None or replica.coming.done():
            replica.coming = asyncio.create_task(self._started(replica))
        return replica.coming

    async def _started(self, replica: Replica) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | KEEPS_MEMORY,
        )
        assert process.stdout is not None
        replica.begun = process
        if not await process.stdout.readline():
            if self._ends:
                return
            raise SystemExit(1)  # it says by itself why it has ended; without it there is no such server
        replica.process, replica.begun = process, None
        self._reading[replica.index] = asyncio.create_task(self._read(replica, process))
        self.serve()

    async def _read(self, replica: Replica, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            if not line.endswith(b"\n") or replica.process is not process:  # said as it was killed
                break
            ended, labels = json.loads(line)
            batch, replica.batch, started = replica.batch, [], replica.began
            for asked, label in zip(batch, labels or [None] * len(batch), strict=True):
                self._say(asked[0], "answered", started, ended, replica.index, len(batch), label, asked[5])
            self.serve()
        if replica.process is process:  # nobody stopped it
            self._forget(replica)

    async def _kill(self, replica: Replica) -> None:
        process = replica.process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                process.kill()
            self._forget(replica)
            await process.wait()

    def _forget(self, replica: Replica) -> None:
        """It is gone, and its batch with it."""
        replica.process = None
        batch, replica.batch = replica.batch, []
        for asked in batch:
            self._say(asked[0], "lost", replica.began, None, replica.index, len(batch), None, asked[5])

    async def end(self) -> None:
        self._ends = True
        begun = [replica.begun for replica in self._replicas if replica.begun is not None]
        for process in begun:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for replica in self._replicas:
            await self._kill(replica)
        for process in begun:
            await process.wait()


async def main(port: int) -> None:
    """Serves one client on the loopback device; port 0: one that is free, which is told on stdout."""
    over = asyncio.Event()

    async def talk(source: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        front = Front(out, json.loads(await source.readline()))
        changes: set[asyncio.Task[None]] = set()
        try:
            while line := await source.readline():
                what, *told = json.loads(line)
                if what == "ask":
                    front.ask(*told)
                elif what == "law":
                    front.take_law(told[0])
                else:
                    change = front.take_model if what == "model" else front.set_usable
                    changes.add(asyncio.create_task(change(told[0])))
        except ConnectionError:
            pass  # they are gone
        finally:
            await front.end()
            over.set()

    server = await asyncio.start_server(talk, "127.0.0.1", port, limit=1 << 20)
    print(json.dumps(["port", server.sockets[0].getsockname()[1]]), flush=True)
    parent = os.getppid()
    while not over.is_set():
        try:
            await asyncio.wait_for(over.wait(), 0.5)
        except TimeoutError:
            if os.getppid() != parent:
                break


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the client, which ends this
    try:
        # Python's own loop wakes to the millisecond where it can poll, to the microsecond with select.
        with asyncio.Runner(
            loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())
        ) as runner:
            runner.run(main(int(sys.argv[1])))
    except OSError as error:
        print(json.dumps(["failed", error.strerror or str(error)]), flush=True)
        sys.exit(1)
