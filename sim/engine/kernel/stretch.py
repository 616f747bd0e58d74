"""Plays a stretch of virtual time with the kernel: lays the state out, helps where it must, reads it back.
Takes what `sim.engine.loop.play` takes, and leaves the same state behind."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from sim.engine.agenda import NO_EVENTS, Agenda
from sim.engine.board import CAPACITY
from sim.engine.kernel.codes import DONE, KIND_SHIFT, NO_ROOM, RAN_BACKWARDS, WANTS_ATTEMPT
from sim.engine.kernel.compiling import ready
from sim.engine.kernel.layout import REGISTERS, Ahead, Drawn, Heap, Lists, Replicas, Rows, Sends, World
from sim.engine.kernel.terms import Fixed, fixed, slowdowns, within
from sim.engine.kernel.walk import walk
from sim.engine.learning import Learning
from sim.engine.loop import Played
from sim.engine.queues import is_plain
from sim.engine.state import NEW_SEND, State
from sim.errors import RunFailed
from sim.world.outages.capacity import Slowness
from sim.world.parameters import Rules

EVENTS = 256  # room in the heap to begin with, beside what one event may add
ROOM = 64  # for retries, at least, each time that there is none

_type_of: Any = numba.typeof


class Kernel:
    """Plays any stretch of one run."""

    def __init__(self, rules: Rules) -> None:
        self._known = fixed(rules)

    def compile(self, state: State, learning: Learning) -> None:
        """Compiles the walk, or reads it from the disk, if this process has not yet."""
        ready(walk, self.argument_types(state, learning.slowness))

    def argument_types(self, state: State, slowness: Slowness) -> tuple[Any, ...]:
        """Numba's types of what the walk is called with: those of every run."""
        nothing = _Stretch(self._known, state, NO_EVENTS, (0.0, 0.0), slowness)
        return tuple(map(_type_of, (nothing.world, nothing.registers)))

    def play(self, state: State, agenda: Agenda, begin: float, end: float, learning: Learning) -> Played:
        """Runs the events of [begin, end) and leaves in `state` what they changed. See
        `sim.engine.loop.play`."""
        stretch = _Stretch(self._known, state, agenda, (begin, end), learning.slowness)
        while (why := _walked(stretch)) != DONE:
            if why == NO_ROOM:
                stretch.make_room()
            elif why == WANTS_ATTEMPT:
                stretch.draw_attempt()
            elif why == RAN_BACKWARDS:
                raise RunFailed("run", f"the clock ran backwards from {stretch.registers['now'][0]} s")
            else:
                stretch.redraw()
        return stretch.read_back()


def _walked(stretch: _Stretch) -> Any:
    with np.errstate(over="ignore"):  # in plain Python the words of keyed draws would warn as they wrap
        return walk(stretch.world, stretch.registers)


class _Stretch:
    """The arrays of one stretch, [begin, end)."""

    def __init__(
        self, known: Fixed, state: State, agenda: Agenda, span: tuple[float, float], slowness: Slowness
    ) -> None:
        self._rules, self._state = known.rules, state
        rules, n, in_service = known.rules, len(state.sends["row"]), sum(map(len, state.batch_of))
        self.registers = np.zeros(1, dtype=REGISTERS).view(np.recarray)  # so that plain Python reads it, too
        self._set(now=span[0], counted_to=span[0], sends=n, steps=1, inside=len(state.waiting) + in_service)
        self._set(replicas=state.replicas, taken=state.taken)
        self._set(waiting=len(state.waiting), returned=state.returned)
        steps = np.empty((1 + np.count_nonzero(agenda.do == CAPACITY), 2))
        steps[0] = span[0], state.usable
        self.world = World(
            terms=known.terms(*span),
            scale=np.array(rules.service.scale),
            mean=np.array(rules.service.mean),
            ahead=Ahead(agenda.at, agenda.kind << KIND_SHIFT | agenda.place, agenda.do, agenda.subject),
            events=_heap(EVENTS + len(state.batch_of) + rules.max_batch),
            sends=Sends(**state.sends),
            rows=Rows(**{name: state.rows[name] for name in Rows._fields}),
            lists=_lists(n, has_line=rules.discipline == "edf"),
            replicas=_replicas(state),
            groups=known.groups,
            clients=known.clients(state),
            budgets=known.budgets._replace(**state.budgets),
            door=known.door._replace(**state.admission),
            cuts=known.cuts,
            slow_links=known.slow_links,
            slow_service=slowdowns([within(slowness, *span)]),
            drawn=Drawn(*(np.zeros((0, len(state.rows["client"]))) for _ in range(3))),
            stopped=np.empty((in_service + 16, 3)),
            steps=steps,
        )
        self.world.lists.listed[: len(state.waiting)] = state.waiting
        for batch in state.batch_of:
            self.world.lists.after[batch[:-1]] = batch[1:]
        if known.groups.max_attempts.max() > 1:
            self.make_room()  # for retries
        if len(known.slow_links.line):
            self.draw_attempt()
        else:
            self._set(attempts_drawn=1)  # nobody looks at those of the first

    def _set(self, **numbers: Any) -> None:
        for name, number in numbers.items():
            self.registers[name] = number

    def make_room(self) -> None:
        """A quarter more of everything that may have run full."""
        w, n = self.world, int(self.registers["sends"][0])
        more = n // 4 + ROOM
        sends = {name: _longer(column, n, more) for name, column in w.sends._asdict().items()}
        for name, nothing in NEW_SEND.items():
            sends[name][n:] = nothing
        lists = w.lists._replace(
            line=Heap(*(_longer(column, len(column), more) for column in w.lists.line)),
            **{name: _longer(getattr(w.lists, name), n, more) for name in ("after", "before", "listed")},
            is_due_set=_longer(w.lists.is_due_set, n, more),
        )
        lists.is_due_set[n:] = False
        self.world = w._replace(
            sends=Sends(**sends),
            lists=lists,
            events=Heap(*(_longer(column, len(column), len(column)) for column in w.events)),
            stopped=_longer(w.stopped, len(w.stopped), len(w.stopped) + int(self.registers["inside"][0])),
        )

    def draw_attempt(self) -> None:
        """What luck decides for one more attempt of every request that was sent, even if it never comes."""
        rows, attempt = self._state.rows, int(self.registers["attempts_drawn"][0]) + 1
        up, down, factor = (np.full((attempt, len(rows["client"])), np.nan) for _ in range(3))
        for new, known in zip((up, down, factor), self.world.drawn, strict=True):
            new[: len(known)] = known
        sent = np.zeros(len(rows["client"]), dtype=bool)
        sent[self._state.sends["row"]] = True
        group = self._rules.clients.group[rows["client"]]
        for g, patience in enumerate(self._rules.patience):
            if attempt <= patience.max_attempts:
                mine = np.flatnonzero(sent & (group == g))
                request = rows["request_id"][mine]
                up[-1, mine] = patience.link.up_many(request, attempt)
                down[-1, mine] = patience.link.down.many(request, attempt)
                factor[-1, mine] = self._rules.service.factor_many(request, attempt)
        self.world = self.world._replace(drawn=Drawn(up, down, factor))
        self._set(attempts_drawn=attempt)

    def redraw(self) -> None:
        """Another factor of the service time for each send that was put back."""
        sends, rows, service = self.world.sends, self._state.rows, self._rules.service
        for send in self.world.lists.listed[: self.registers["put_back"][0]].tolist():
            request = int(rows["request_id"][sends.row[send]])
            sends.factor[send] = service.factor_one(
                request, int(sends.attempt[send]), int(sends.returns[send])
            )
        self._set(put_back=0)

    def read_back(self) -> Played:
        """Leaves the state as it is now; tells what its columns do not."""
        w, state, r = self.world, self._state, self.registers[0]
        state.sends = {name: column[: r["sends"]] for name, column in w.sends._asdict().items()}
        state.waiting = w.lists.listed[: r["waiting"]].tolist()
        state.returned = 0 if is_plain(self._rules) else int(r["returned"])
        state.taken = int(r["taken"])
        for replica, size in enumerate(w.replicas.size.tolist()):
            batch = [int(w.replicas.head[replica])][:size]
            while len(batch) < size:
                batch.append(int(w.lists.after[batch[-1]]))
            state.batch_of[replica] = batch
            if batch:
                state.ends[replica] = float(w.replicas.ends[replica])
        stopped = [(int(size), begun, at) for size, begun, at in w.stopped[: r["stopped"]].tolist()]
        return Played(
            float(r["area"]), stopped, [(at, int(usable)) for at, usable in w.steps[: r["steps"]].tolist()]
        )


def _heap(n: int) -> Heap:
    return Heap(np.empty(n), np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64))


def _lists(n: int, has_line: bool) -> Lists:
    after, before, listed = (np.empty(n, dtype=np.int64) for _ in range(3))
    return Lists(after, before, np.zeros(n, dtype=bool), _heap(n if has_line else 0), listed)


def _replicas(state: State) -> Replicas:
    n = len(state.batch_of)
    return Replicas(
        head=np.array([batch[0] if batch else -1 for batch in state.batch_of], dtype=np.int64),
        size=np.array([len(batch) for batch in state.batch_of], dtype=np.int64),
        ends=np.array(state.ends, dtype=np.float64),
        is_idle=np.zeros(n, dtype=bool),
        lost=np.zeros(n, dtype=np.int64),
        order=np.empty(n, dtype=np.int64),
    )


def _longer(column: NDArray[Any], n: int, more: int) -> NDArray[Any]:
    """The first n and room for more behind them."""
    found = np.empty((n + more, *column.shape[1:]), dtype=column.dtype)
    found[:n] = column[:n]
    return found
