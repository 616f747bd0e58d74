"""The server of plain processes, as the wall's clock asks it: a line to `live.front` for each attempt.
Started and ended here."""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from live.needs import Terms
from live.service import Law
from sim.another_process import python_path
from sim.engine.wall_clock import Ask, Time, Word
from sim.errors import BadInput

COME_UP_S = 20.0  # wall time for the processes to be there
LOAD_S = 60.0  # for replicas to have loaded a model
GO_DOWN_S = 0.5  # wall time for them to end by themselves


class Processes:
    """A front with a queue, and replicas behind it; all of them end with `stop`, or with this process.

    port: of the front on the loopback device, 0: one that is free. Raises BadInput from `start` if it is
    taken, or if the processes do not come up in `COME_UP_S`.
    """

    name = "processes"

    def __init__(self, terms: Terms, law: Law, clock: Time, port: int) -> None:
        self.hear: Callable[[Word], None] = lambda _word: None
        self._terms, self._law, self._time, self._port = terms, law, clock, port
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._changing: asyncio.Future[int] | None = None

    async def start(self) -> None:
        try:
            async with asyncio.timeout(COME_UP_S):
                await self._start()
                await self.set_usable(self._terms.replicas)
        except (TimeoutError, ConnectionError):
            raise BadInput(f"--server {self.name}: did not come up within {COME_UP_S:g} s") from None

    async def _start(self) -> None:
        # -S: as of `live.front.SLEEPER`.
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-S", "-m", "live.front", str(self._port)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": python_path()},
        )
        assert self._process.stdout is not None
        what, told = json.loads(await self._process.stdout.readline() or '["failed", "it ended"]')
        if what == "failed":
            raise BadInput(f"--port {self._port}: cannot be listened on ({told})")
        self._port = told
        source, self._out = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        self._send(asdict(self._terms))
        self._reading = asyncio.get_running_loop().create_task(self._read(source))

    def begin(self) -> None:
        self.take_law(self._law._replace(origin=self._time.origin))

    def take_law(self, law: Law) -> None:
        """What batches take from now on."""
        self._send(["law", law._asdict()])

    async def take_model(self, folder: Path) -> None:
        """Replicas answer by it from now on, and are there again."""
        self._law = self._law._replace(model=str(folder))
        try:
            async with asyncio.timeout(LOAD_S):
                await self._change(["model", str(folder)])
        except ConnectionError:
            raise BadInput("--service model: replicas could not load it") from None
        except TimeoutError:
            raise BadInput(f"--service model: replicas did not load it within {LOAD_S:g} s") from None

    def ask(self, ask: Ask) -> None:
        due = self._time.monotonic(ask.deadline_s) if math.isfinite(ask.deadline_s) else None
        self._send(["ask", int(ask.attempt), float(ask.factor), float(ask.work), int(ask.sample), due])

    async def set_usable(self, replicas: int) -> None:
        await self._change(["usable", replicas])

    async def _change(self, line: list[Any]) -> None:
        self._changing = asyncio.get_running_loop().create_future()
        self._send(line)
        await self._changing

    def _send(self, line: Any) -> None:
        self._out.write(json.dumps(line).encode() + b"\n")

    async def _read(self, source: asyncio.StreamReader) -> None:
        at = self._time.at
        while line := await source.readline():
            what, *told = json.loads(line)
            if what == "word":
                attempt, what, started, ended, replica, size, label, queued, waiting = told
                came, begun, over = (math.nan if t is None else at(t) for t in (queued, started, ended))
                self.hear(Word(attempt, what, begun, over, replica, size, label, came, waiting))
            elif self._changing is not None and not self._changing.done():
                self._changing.set_result(told[0])
        if self._changing is not None and not self._changing.done():  # it has ended
            self._changing.set_exception(ConnectionError("the server has ended"))

    def is_there(self) -> bool:
        """Whether it still listens."""
        return self._process is not None and self._process.returncode is None

    async def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._out.close()
        if self._process is not None and self._process.returncode is None:
            try:
                if self._reading is None:
                    with suppress(ProcessLookupError):
                        self._process.kill()
                await asyncio.wait_for(self._process.wait(), GO_DOWN_S)
            except TimeoutError:
                with suppress(ProcessLookupError):  # it has just ended
                    self._process.kill()
                await self._process.wait()
