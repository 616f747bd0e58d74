"""The wall's clock: the clients' handlers in real time, before a server that is real.
SimPy's clock waits for each event's instant; only the handlers of queue, batch and replica are not played:
an attempt that reaches the server is handed to it, and its word comes back as an event at that instant."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import simpy

from sim.engine.arrays.context import Context
from sim.engine.clock import Stretch
from sim.engine.events import ADMISSION, DOWN, EXPIRED, KEY_COMPLETE, LOST, QUEUE_FULL, REFUSALS
from sim.engine.handlers import capacity, door, server, work
from sim.engine.simpy_clock import Handlers, Happening, Playing, SimPyClock
from sim.world.parameters import Parameters

LONGEST_WAIT_S = 0.05  # wall time between two looks at whether to stop
BREATHE_S = 0.002  # wall time that events are played on end before replies are looked for

WORDS = {"answered": 0, "queue_full": QUEUE_FULL, "down": DOWN, "expired": EXPIRED, "lost": LOST}


class Ask(NamedTuple):
    """An attempt at the server's door: its number, what its batch's time is multiplied by if it heads it, the
    work of its sample, when its request is due (seconds of the run), and the sample's place."""

    attempt: int
    factor: float
    work: float
    deadline_s: float
    sample: int


class Word(NamedTuple):
    """What the server says of an attempt, exactly once: a key of `WORDS`. Instants of the run; NaN: there is
    none. label: the answer, where a model was asked for it. came_s: when it joined the queue, where that is
    known; until then it was on its way. waiting: how many waited as it was said."""

    attempt: int
    what: str
    started_s: float = float("nan")
    finished_s: float = float("nan")
    replica: int = -1
    batch_size: int = 0
    label: int | None = None
    came_s: float = float("nan")
    waiting: int = -1


class LiveServer(Protocol):
    """A server that is there. `hear` is what it calls with each word, in the thread of the event loop."""

    hear: Callable[[Word], None]

    def begin(self) -> None:
        """The run's time has begun."""

    def ask(self, ask: Ask) -> None:
        """An attempt is at the door."""

    async def set_usable(self, replicas: int) -> None:
        """From now on so many replicas work; over once the others have stopped."""


@dataclass
class Time:
    """Seconds of a run as the wall's clock has them: `speed` of them in each second of wall time."""

    speed: float = 1.0
    origin: float = field(default_factory=time.monotonic)

    def begin(self, at_s: float) -> None:
        """It is this instant of the run now."""
        self.origin = time.monotonic() - at_s / self.speed

    def now(self) -> float:
        return self.at(time.monotonic())

    def at(self, monotonic: float) -> float:
        return (monotonic - self.origin) * self.speed

    def monotonic(self, at_s: float) -> float:
        return self.origin + at_s / self.speed


class Measured:
    """What a run on the wall's clock notes of itself, in seconds of the run: how late each event was played,
    how late each word of the server was heard after it was ready, and what it said of lost attempts; how many
    answers a model gave, and how many of them are not those of the tables."""

    def __init__(self) -> None:
        self.lag_s: list[float] = []
        self.return_s: list[float] = []
        self.changes: list[tuple[float, float, int]] = []  # planned, done, usable replicas
        self.losses: list[float] = []  # when each was heard of
        self.answers = self.unlike = 0


class WallClock(SimPyClock):
    """Plays a run in real time; `loop` is what its server lives on.

    is_to_stop: asked all the while; if so, KeyboardInterrupt is raised. The server and the scenario must go
    together, see `live.needs`.
    """

    def __init__(
        self,
        parameters: Parameters,
        loop: asyncio.AbstractEventLoop,
        real: LiveServer,
        clock: Time,
        is_to_stop: Callable[[], bool],
    ) -> None:
        super().__init__(parameters)
        self.loop, self.real, self.time, self.is_to_stop = loop, real, clock, is_to_stop
        self.measured = Measured()
        self._now_playing: _InRealTime
        own = {door.reach: self._reach, server.serve: _serve, capacity.outage_or_scaling: self._change}
        self._handlers = Handlers.linked(own)

    def playing(self, context: Context, stretch: Stretch) -> Playing:
        self._now_playing = _InRealTime(self._handlers, context, stretch, self)
        return self._now_playing

    def _reach(self, w: Any, r: Any, s: Any, now: float, send: int) -> bool:
        return self._now_playing.ask(w, r, s, now, send)

    def _change(self, _w: Any, _r: Any, s: Any, now: float, _code: int, taken: int) -> bool:
        return self._now_playing.change_capacity(s, now, taken)


def _serve(_w: Any, _r: Any, _s: Any, _now: float) -> None:
    """`server.serve`: the real server does."""


class _InRealTime(Playing):
    """A stretch that takes as long as it says."""

    def __init__(self, handlers: Handlers, context: Context, stretch: Stretch, clock: WallClock) -> None:
        super().__init__(handlers, context, stretch)
        self._linked, self._clock = handlers.by_original, clock
        self._came: deque[tuple[float, Word]] = deque()
        self._asked: dict[int, None] = {}  # at the server, in order
        self._waiter: asyncio.Future[None] | None = None
        self._changing: list[asyncio.Task[None]] = []
        clock.real.hear = self._hear

    # What stands in for the handlers of the server.

    def ask(self, w: Any, r: Any, s: Any, now: float, send: int) -> bool:
        """`door.reach`: admission is at the door; whoever is let in is asked of the real server."""
        if not self._linked[door.admits](w, s, now, send):
            self._linked[door.turn_away](w, r, s, now, send, ADMISSION)
            return False
        self._linked[server.count](s, now, 1)
        s.waiting = s.inside
        self._asked[send] = None
        row = w.sends.row[send]
        sample, factor = w.rows.sample[row], self._linked[work.work_of](w, send)
        self._clock.real.ask(Ask(send, w.sends.service_factor[send], factor, w.rows.deadline[row], sample))
        return False

    def change_capacity(self, s: Any, now: float, taken: int) -> bool:
        """`capacity.outage_or_scaling`: replicas are really stopped or started."""
        s.taken = taken
        self._changing.append(self._clock.loop.create_task(self._change(now, max(0, s.replicas - taken))))
        return False

    async def _change(self, planned: float, usable: int) -> None:
        """One change after the other. Where replicas stop, they count until they have stopped."""
        before = self._changing[:-1]
        if before:
            await asyncio.wait(before)
        is_less = usable < self._w.steps[self._r.steps - 1, 1]
        began = self._clock.time.now()
        await self._clock.real.set_usable(usable)
        done = self._clock.time.now()
        self._clock.measured.changes.append((planned, done, usable))
        at = min(done if is_less else began, self._stretch.end)
        for place, value in enumerate((at, usable, 0, 0, 0.0)):  # one server, whose batches never stand still
            self._w.steps[self._r.steps, place] = value
        self._r.steps += 1

    # What the server says.

    def _hear(self, word: Word) -> None:
        self._came.append((self._clock.time.now(), word))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take_in(self) -> None:
        """Each word is an event at the instant at which it came."""
        env = self._env
        while self._came:
            at, word = self._came.popleft()
            event = Happening(env, [self._hearing(word)], word.attempt, 0)
            env.schedule_at(event, max(at, env.now), KEY_COMPLETE | word.attempt)

    def _hearing(self, word: Word) -> Callable[[Any], None]:
        def fire(_event: Any) -> None:
            w, r, now = self._w, self._r, self._env.now
            r.now = now
            del self._asked[word.attempt]
            (s,) = self._stations
            left = self._played(w, r, s, now, word)
            s.area -= s.counted_to - left
            s.inside -= 1
            s.waiting = s.inside

        return fire

    def _played(self, w: Any, r: Any, s: Any, now: float, word: Word) -> float:
        """What the word comes to at its client; gives when the attempt left the server."""
        send, sends, cause = word.attempt, w.sends, WORDS[word.what]
        reached: float = sends.reached[send]
        if cause in REFUSALS:
            self._linked[door.turn_away](w, r, s, now, send, cause)
            return reached
        if word.replica >= 0:
            started = min(max(word.started_s, reached), now)
            if word.came_s > reached and w.constants.batch == 0:  # of a transmission all come at one instant
                came = min(word.came_s, started)
                s.area -= came - reached
                sends.reached[send] = came
            sends.started[send] = started
            sends.replica[send], sends.batch_size[send] = word.replica, word.batch_size
        if cause == 0:
            finished = min(max(word.finished_s, started), now)
            self._linked[server.hand_back](w, r, s, now, send)
            if sends.finished[send] == now:  # it goes down from where it was ready
                sends.finished[send] = finished
                sends.downlink_s[send] += now - finished
            self._clock.measured.return_s.append(now - finished)
            if word.label is not None:
                self._clock.measured.answers += 1
                self._clock.measured.unlike += word.label != w.labels.server[w.rows.sample[sends.row[send]]]
        else:
            finished = now
            self._linked[server.swallow](sends.cause, sends.closed_at, now, send)
            sends.cause[send] = cause
            if cause == LOST:
                self._clock.measured.losses.append(now)
        if w.constants.tells_backlog:
            sends.backlog[send] = word.waiting
        return finished

    # Time.

    def _move(self, end: simpy.Event) -> None:
        self._clock.time.begin(self._stretch.begin)
        self._clock.real.begin()
        self._clock.loop.run_until_complete(self._pace(end))
        for place, send in enumerate(sorted(self._asked)):  # who is still there waits, as far as one knows
            self._w.lists.listed[place] = send

    async def _pace(self, end: simpy.Event) -> None:
        env, clock, lag_s = self._env, self._clock.time, self._clock.measured.lag_s
        while not end.processed:
            begun = time.monotonic()
            self._take_in()
            while not end.processed and (due := env.peek()) <= (now := clock.now()):
                lag_s.append(now - due)
                env.step()
                if time.monotonic() - begun > BREATHE_S:
                    break
            if self._clock.is_to_stop():
                raise KeyboardInterrupt
            if not end.processed:
                await self._wait((env.peek() - clock.now()) / clock.speed)
        for task in self._changing:
            task.cancel()

    async def _wait(self, seconds: float) -> None:
        """Until then, or until the server says something."""
        if seconds <= 0 or self._came:
            await asyncio.sleep(0)
            return
        loop = self._clock.loop
        self._waiter = loop.create_future()
        alarm = loop.call_later(min(seconds, LONGEST_WAIT_S), _wake, self._waiter)
        await self._waiter
        alarm.cancel()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
