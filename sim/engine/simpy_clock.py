"""SimPy's clock: a real Environment whose events play the handlers, with its own heap, `step` and `run`.
It plays everything, without Numba too; outages, the autoscaler's ticks and the next round are processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from heapq import heappush
from typing import Any, NamedTuple

import numpy as np
import simpy

from sim.engine.arrays.context import Context
from sim.engine.arrays.laying_out import choices_of, fixed, kinds_of, ranks_of
from sim.engine.arrays.layout import OF_PRICES, Functions
from sim.engine.arrays.records import REGISTERS, STATION
from sim.engine.arrays.views import views
from sim.engine.clock import Played, Stretch
from sim.engine.events import CAPACITY, CODES, COMPLETE, DONE, MAY_LACK, REACH, SCALE, WANTS_REDRAWS
from sim.engine.handlers import MODULES, primitives, server, walk
from sim.engine.learning import Learning
from sim.engine.linking import link
from sim.engine.state import State
from sim.errors import RunFailed
from sim.policy.own import Player, PythonPolicy, ending_calls_that_last, guarded
from sim.streams import mixed_word
from sim.world.parameters import Parameters

_HAVE_LIVES_OF_THEIR_OWN = {CAPACITY, SCALE}
Callbacks = list[Callable[[Any], None]]


class Registers:
    """The numbers of the walk, as attributes."""

    __slots__ = tuple(REGISTERS.names or ())


class Station:
    """A server's numbers, as attributes."""

    __slots__ = tuple(STATION.names or ())


class Happening(simpy.Event):
    """An event of the model. It is scheduled as it is made, and never fails."""

    _ok, _value, _defused = True, None, True

    def __init__(self, env: Environment, callbacks: Callbacks, subject: int, key: int) -> None:
        self.env, self.callbacks, self.subject, self.key = env, callbacks, subject, key

    def __lt__(self, _other: Happening) -> bool:
        """Of one instant and key one counts, beside those that it has superseded."""
        return False


class Environment(simpy.Environment):
    """SimPy's, and events at absolute instants, whose order at one instant is computed from their content.

    What SimPy itself schedules, such as the start of a process, comes before them.
    """

    @property
    def heap(self) -> list[Any]:
        """SimPy's own."""
        found: list[Any] = self._queue
        return found

    def schedule(self, event: simpy.Event, priority: Any = simpy.events.NORMAL, delay: Any = 0) -> None:
        heappush(self.heap, (self._now + delay, priority - 2, next(self._eid), event))

    def schedule_at(self, event: simpy.Event, at: float, key: int) -> None:
        """No two events have the same instant and key."""
        heappush(self.heap, (at, key, 0, event))


class SimPyClock:
    """Plays any stretch of one run."""

    def __init__(self, parameters: Parameters) -> None:
        self._handlers, self._fixed = Handlers.linked(), fixed(parameters)
        played = [kind.player() if isinstance(kind, PythonPolicy) else kind for kind in kinds_of(parameters)]
        self._players = [one for one in played if isinstance(one, Player)]
        self._functions = Functions(
            **{name: tuple(guarded(getattr(one, name)) for one in played) for name in OF_PRICES},
            rank_waiting=tuple(map(guarded, ranks_of(parameters))),
            rank_option=tuple(map(guarded, choices_of(parameters))),
        )

    def play(self, state: State, stretch: Stretch, learning: Learning) -> Played:
        """Runs the events of the stretch and leaves in `state` what they changed."""
        context = Context(self._fixed, self._functions, state, stretch, learning)
        with ending_calls_that_last(self._players):
            self.playing(context, stretch).run()
        return context.read_back()

    def playing(self, context: Context, stretch: Stretch) -> Playing:
        return Playing(self._handlers, context, stretch)

    def kept(self) -> list[Any]:
        """What policies in plain Python remember."""
        return [player.kept() for player in self._players]

    def restore(self, kept: list[Any]) -> None:
        for player, remembered in zip(self._players, kept, strict=True):
            player.restore(remembered)


class Queue(NamedTuple):
    """What stands in the place of the compiled clock's heap: the environment's own. at: of the shape of the
    other's, which is never full here."""

    env: Environment
    heap: list[Any]
    callbacks: dict[int, Callbacks]
    at: Any


def put(queue: Queue, r: Any, at: float, key: int, code: int, subject: int) -> None:
    """`primitives.put`."""
    if at < r.now:
        raise RunFailed("run", f"the clock ran backwards, from {r.now} s to {at} s")
    happening = Happening(queue.env, queue.callbacks[code].copy(), subject, key)
    heappush(queue.heap, (at, key, 0, happening))


def uniform(root: int, request_id: int, attempt: int) -> float:
    """`primitives.uniform` on plain integers."""
    return mixed_word(root, request_id, attempt << 16)


class Handlers(NamedTuple):
    """What the clock calls of the handlers, bound to its own primitives."""

    begin: Any
    happen: Any
    lacks: Any
    serve: Any
    finish: Any
    often: dict[int, Any]  # by code, what `happen` would come to
    by_original: dict[Any, Any]  # all of them

    @classmethod
    def linked(cls, own: Mapping[Any, Any] | None = None) -> Handlers:
        """own: what stands in for some of the handlers, as for `link`."""
        linked = link(
            MODULES,
            {
                primitives.put: put,
                primitives.uniform: uniform,
                primitives.whole_number: int,
                primitives.real_number: float,
            }
            | dict(own or {}),
        )
        often = {REACH: linked[walk.reach_server], COMPLETE: linked[walk.complete_batch]}
        return cls(
            linked[walk.begin],
            linked[walk.happen],
            linked[walk.lacks],
            linked[server.serve],
            linked[walk.finish],
            often,
            linked,
        )


class Playing:
    """A stretch under way: an environment, and the arrays as they look to plain Python."""

    def __init__(self, handlers: Handlers, context: Context, stretch: Stretch) -> None:
        self._handlers, self._context, self._stretch = handlers, context, stretch
        self._env = Environment(stretch.begin)
        self._r: Any = Registers()
        self._stations: list[Any] = [Station() for _ in context.stations]
        self._callbacks: dict[int, Callbacks] = {}
        self._read_registers()
        self._look()
        self._callbacks.update({code: [self._firing(code)] for code in CODES})

    def _look(self) -> None:
        """Sees the arrays as they are now."""
        queue = Queue(self._env, self._env.heap, self._callbacks, self._context.arrays.events.at)
        self._w = views(self._context.arrays)._replace(events=queue)

    def run(self) -> None:
        """Runs until the stretch is over, which a round of training may end."""
        env = self._env
        self._handlers.begin(self._w, self._r, self._stations)
        known = self._stretch.known
        alive = np.isin(known.do, list(_HAVE_LIVES_OF_THEIR_OWN))
        for code in _HAVE_LIVES_OF_THEIR_OWN:
            if np.any(known.do == code):
                env.process(self._process(code, np.flatnonzero(known.do == code)))
        self._feed(self._known(np.flatnonzero(~alive)))
        self._move(env.process(self._until_the_next_round()))
        self._handlers.finish(self._w, self._stations)
        self._write_registers()

    def _move(self, end: simpy.Event) -> None:
        """Lets time pass until `end` has happened."""
        self._env.run(end)

    def _until_the_next_round(self) -> Generator[simpy.Event, None, None]:
        """A training round, or the end of the window, is when the clock stands still."""
        yield self._at(self._stretch.end, -1, -1, [])

    def _process(self, code: int, which: Any) -> Generator[simpy.Event, None, None]:
        """What has a life of its own: outages that take replicas, an autoscaler that looks at them."""
        known, fire = self._stretch.known, self._callbacks[code][0]
        for at, key, subject in zip(
            *(column[which].tolist() for column in (known.at, known.key, known.subject)), strict=True
        ):
            event = self._at(at, key, subject, [])
            yield event
            fire(event)

    def _known(self, which: Any) -> Iterator[tuple[float, int, int, int]]:
        known = self._stretch.known
        return zip(*(column[which].tolist() for column in known), strict=True)

    def _feed(self, coming: Iterator[tuple[float, int, int, int]]) -> None:
        """What is known to come is scheduled one by one, each as the one before happens: a heap of few is
        fast."""
        env, callbacks = self._env, self._callbacks
        heap = env.heap

        def feed(_event: Any) -> None:
            for at, key, code, subject in coming:
                heappush(heap, (at, key, 0, Happening(env, [callbacks[code][0], feed], subject, key)))
                break

        feed(None)

    def _at(self, at: float, key: int, subject: int, callbacks: list[Callable[[Any], None]]) -> Happening:
        event = Happening(self._env, callbacks, subject, key)
        self._env.schedule_at(event, at, key)
        return event

    def _firing(self, code: int) -> Callable[[Any], None]:
        """What SimPy calls as an event of this code happens."""
        env, r, often = self._env, self._r, self._handlers.often.get(code)
        stations = self._stations
        happen, lacks, serve = self._handlers.happen, self._handlers.lacks, self._handlers.serve
        may_lack = code in MAY_LACK or self._w.constants.adds_rows

        def fire(event: Any) -> None:
            r.now = now = env._now
            if may_lack:
                while (why := lacks(self._w, r, stations, code, event.subject)) != DONE:
                    self._help(why)
            if often is not None:
                must_serve = often(self._w, r, stations, now, event.subject, event.key)
            else:
                must_serve = happen(self._w, r, stations, code, event.subject, event.key)
            if r.put_back > 0:
                self._help(WANTS_REDRAWS)
            if must_serve >= 0:
                serve(self._w, r, stations[must_serve], now)

        return fire

    def _help(self, why: int) -> None:
        self._write_registers()
        self._context.help(why)
        self._read_registers()
        self._look()

    def _read_registers(self) -> None:
        for name in Registers.__slots__:
            setattr(self._r, name, self._context.registers[name][0].item())
        for number, station in enumerate(self._stations):
            for name in Station.__slots__:
                setattr(station, name, self._context.stations[name][number].item())

    def _write_registers(self) -> None:
        self._context.set(**{name: getattr(self._r, name) for name in Registers.__slots__})
        for number, station in enumerate(self._stations):
            for name in Station.__slots__:
                self._context.stations[name][number] = getattr(station, name)
