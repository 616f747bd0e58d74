"""Ray Serve on the loopback device, as the wall's clock asks it: replicas that sleep, batches by its own
decorator, a queue at its router. With `live.processes`, what may stand behind the clients of a live run."""

from __future__ import annotations

import asyncio
import importlib
import logging
import math
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import ray
from ray import serve
from ray.serve.exceptions import BackPressureError

from agents.backends.cluster import start_private
from live.needs import Terms
from live.replica import KEEPS_MEMORY, busy
from live.service import Law
from live.slots import Slots
from sim.engine.wall_clock import Ask, Time, Word
from sim.errors import BadInput

COME_UP_S = 180.0  # wall time for Ray, Serve and the replicas
GIVE_UP_S = 60.0  # for what was begun, so that it can be ended
BACK_S = 60.0  # wall time for replicas to be there again
LOOK_S = 0.02
REFUSED = 503  # of HTTP: the queue is full
APP = "live"


def _stay_on_loopback() -> None:
    """Serve opens a port of its own in each replica, once that is made, on all devices; here on one alone."""
    module: Any = importlib.import_module("ray.serve._private.replica")
    bind = module.add_port_to_grpc_server

    def add_port(server: Any, address: str) -> Any:
        return bind(server, address.replace("[::]", "127.0.0.1"))

    module.add_port_to_grpc_server = add_port


class Replica:
    """What Serve starts in each process: it waits for a place, and sleeps for each batch."""

    def __init__(self, folder: str, max_batch: int, batch_wait_s: float, drop_expired: bool) -> None:
        _stay_on_loopback()
        self._slots, self._drops = Slots(Path(folder)), drop_expired
        self._answer: Any = None
        if model := self._slots.law().model:
            from agents.server.runnable import runnable  # noqa: PLC0415  (torch takes seconds)

            self._answer = runnable(Path(model))
        self._index = self._slots.hold()
        self._serve.set_max_batch_size(max_batch)  # type: ignore[attr-defined]
        self._serve.set_batch_wait_timeout_s(batch_wait_s)  # type: ignore[attr-defined]

    async def __call__(self, request: Any) -> Any:
        """request: [factor, work, sample, due], as such or as the JSON of an HTTP request."""
        asked = request if isinstance(request, list) else await request.json()
        return await self._serve(asked)

    @serve.batch(max_batch_size=1, batch_wait_timeout_s=0.0)
    async def _serve(self, asked: list[Any]) -> list[Any]:
        began = time.monotonic()
        served = [not (self._drops and due is not None and began > due) for *_, due in asked]
        batch = [one for one, is_served in zip(asked, served, strict=True) if is_served]
        labels: Sequence[int | None] = [None] * len(batch)
        if batch:
            works, samples = ([one[place] for one in batch] for place in (1, 2))
            order = self._slots.law().order(self._index, batch[0][0], works, samples, began)
            told = await asyncio.get_running_loop().run_in_executor(None, self._busy, *order)
            labels = told or labels
        ended, each = time.monotonic(), iter(labels)
        return [
            ["answered", began, ended, self._index, len(batch), next(each)]
            if is_served
            else ["expired", None, None, -1, 0, None]
            for is_served in served
        ]

    def _busy(self, takes: float, slower: float, samples: list[int]) -> list[int] | None:
        return busy(self._answer, takes, slower, samples)


class Serve:
    """A private Ray cluster with one deployment; all of it ends with `stop`, or with this process."""

    name = "serve"

    def __init__(self, terms: Terms, law: Law, clock: Time, via: str, port: int) -> None:
        self.hear: Callable[[Word], None] = lambda _word: None
        self._terms, self._law, self._time = terms, law, clock
        self._via, self._port = via, port
        self._at_end, self._asked = ExitStack(), set[asyncio.Task[None]]()
        self._usable = terms.replicas
        self._starting: asyncio.Future[None] | None = None
        if terms.finishes:
            raise BadInput(
                "server.in_flight: Ray Serve's replicas are killed, so 'finish' is not played; use lose"
            )

    async def start(self) -> None:
        if self._via == "http":
            self._port = _free_port(self._port)
        try:
            async with asyncio.timeout(COME_UP_S):
                self._starting = asyncio.ensure_future(asyncio.to_thread(self._start))
                await asyncio.shield(self._starting)
        except TimeoutError:
            raise BadInput(f"--server serve: did not come up within {COME_UP_S:g} s") from None
        if self._via == "http":
            pool = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=pool)

    def _start(self) -> None:
        terms = self._terms
        remedy = "; --server processes does without it"
        folder = start_private(self._at_end, 1, remedy, KEEPS_MEMORY)
        self._slots = Slots(folder)
        self._slots.allow(terms.replicas)
        self.take_law(self._law)
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        quiet = {"log_level": "ERROR", "enable_access_log": False}
        serve.start(
            proxy_location="HeadOnly" if self._via == "http" else "Disabled",
            http_options={"host": "127.0.0.1", "port": self._port},
            logging_config=quiet,
        )
        deployment: Any = serve.deployment(
            Replica,
            name="replica",
            num_replicas=terms.replicas,
            ray_actor_options={"num_cpus": 0},
            max_ongoing_requests=terms.max_batch,
            max_queued_requests=-1 if terms.queue_limit is None else terms.queue_limit,
            health_check_period_s=0.2,
            graceful_shutdown_timeout_s=0.1,
            graceful_shutdown_wait_loop_s=0.05,
        )
        app = deployment.bind(str(folder), terms.max_batch, terms.batch_wait_s, terms.drop_expired)
        self._handle = serve.run(app, name=APP, route_prefix="/", logging_config=quiet)

    def begin(self) -> None:
        self.take_law(self._law._replace(origin=self._time.origin))

    def take_law(self, law: Law) -> None:
        """What batches take from now on."""
        self._slots.tell_law(law)

    async def take_model(self, folder: Path) -> None:
        """As of `live.processes`: Serve starts others in the place of all replicas."""
        self._law = self._law._replace(model=str(folder))
        self.take_law(self._law)
        usable = self._usable
        await self.set_usable(0)
        await self.set_usable(usable)
        if any(self._slots.holder(place) is None for place in range(usable)):
            raise BadInput(f"--service model: replicas did not load it within {BACK_S:g} s")

    def ask(self, ask: Ask) -> None:
        terms = self._terms
        if self._usable == 0 and terms.when_down != "queue":  # the way to it is cut
            self._say(ask, "down" if terms.when_down == "refuse" else "lost")
            return
        task = asyncio.get_running_loop().create_task(self._ask(ask))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _ask(self, ask: Ask) -> None:
        due = self._time.monotonic(ask.deadline_s) if math.isfinite(ask.deadline_s) else None
        try:
            told = await self._answer([float(ask.factor), float(ask.work), int(ask.sample), due])
        except BackPressureError:
            told = ["queue_full"]
        except (ray.exceptions.RayError, aiohttp.ClientError, asyncio.CancelledError):
            told = ["lost"]
        self._say(ask, *told)

    async def _answer(self, asked: list[Any]) -> list[Any]:
        if self._via == "handle":
            found: list[Any] = await self._handle.remote(asked)
            return found
        async with self._session.post(f"http://127.0.0.1:{self._port}/", json=asked) as response:
            if response.status == REFUSED:
                return ["queue_full"]
            if response.status != 200:
                return ["lost"]
            return list(await response.json())

    def _say(self, ask: Ask, what: str, *told: Any) -> None:
        started, ended, replica, size, label = told or (None, None, -1, 0, None)
        begun, over = (math.nan if t is None else self._time.at(t) for t in (started, ended))
        self.hear(Word(ask.attempt, what, begun, over, replica, size, label, math.nan, len(self._asked)))

    async def set_usable(self, replicas: int) -> None:
        """Kills those of the highest places; Serve starts others, which wait until there is one."""
        was, self._usable = self._usable, replicas
        self._slots.allow(replicas)
        for place in range(replicas, was):
            self._slots.kill(place)
        if replicas == 0 and not self._terms.queue_survives:
            for task in list(self._asked):
                task.cancel()
        until = time.monotonic() + BACK_S
        while time.monotonic() < until:
            held = [self._slots.holder(place) is not None for place in range(self._terms.replicas)]
            if sum(held) == replicas:
                return
            await asyncio.sleep(LOOK_S)

    def is_there(self) -> bool:
        """Whether Ray still runs."""
        return bool(ray.is_initialized())

    async def stop(self) -> None:
        if hasattr(self, "_session"):
            await self._session.close()
        asked = list(self._asked)
        for task in asked:
            task.cancel()
        if asked:  # Serve has each called off by its replica, which takes Ray
            await asyncio.wait(asked, timeout=GIVE_UP_S)
        if self._starting is not None and not self._starting.done():
            await asyncio.wait({self._starting}, timeout=GIVE_UP_S)
        self._at_end.close()


def _free_port(port: int) -> int:
    """This one, or any that is free. Raises BadInput if it is taken."""
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            line.bind(("127.0.0.1", port))
        except OSError as error:
            raise BadInput(f"--port {port}: cannot be listened on ({error.strerror or error})") from error
        found: int = line.getsockname()[1]
        return found
