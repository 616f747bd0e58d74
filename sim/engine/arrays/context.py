"""The arrays that a clock's handlers work on for one stretch of time: laid out, helped along, read back.
Both clocks play by way of this; what it keeps between two stretches is the state alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.arrays.laying_out import Fixed, labels_of, slowdowns, versions_held, within, work_of
from sim.engine.arrays.layout import (
    REGISTERS,
    Ahead,
    Arrays,
    Asked,
    Drawn,
    Heap,
    Lists,
    Prices,
    Replicas,
    Rows,
    Sends,
)
from sim.engine.arrays.requests_ahead import NOBODY, RequestsAhead
from sim.engine.clock import Played, Stretch
from sim.engine.events import CAPACITY, NO_ROOM, READY, SCALE, WANTS_ATTEMPT, WANTS_REQUESTS
from sim.engine.learning import Learning
from sim.engine.state import NEW_SEND, State
from sim.registry.disciplines import DISCIPLINES

MEASURED = ("busy_s", "usable_s", "replica_s", "measured_at")
EVENTS = 256  # room in the heap to begin with, beside what one event may add
ROOM = 64  # for retries, at least, each time that there is none


class Context:
    """The arrays of one stretch."""

    def __init__(
        self, fixed: Fixed, prices: Prices, state: State, stretch: Stretch, learning: Learning
    ) -> None:
        self._rules, self._state = fixed.rules, state
        rules, n, in_service = fixed.rules, len(state.sends["row"]), sum(map(len, state.batch_of))
        begin, known, rows = stretch.begin, stretch.known, len(state.rows["client"])
        self.registers = np.zeros(1, dtype=REGISTERS).view(np.recarray)  # so that plain Python reads it, too
        self.set(now=begin, counted_to=begin, sends=n, steps=1, inside=len(state.waiting) + in_service)
        self.set(replicas=state.replicas, taken=state.taken, rows=rows, coming=len(state.scaling.coming))
        self.set(waiting=len(state.waiting), returned=state.returned)
        self.set(**{name: getattr(state.scaling, name) for name in MEASURED})
        changes = np.isin(known.do, (CAPACITY, SCALE, READY))
        steps = np.empty((2 + 2 * np.count_nonzero(changes) + len(state.scaling.coming), 2))
        steps[0] = begin, state.usable
        self._ahead = (
            RequestsAhead(rules, learning, state, begin, stretch.end) if rules.has_closed_loops else None
        )
        discipline = DISCIPLINES[rules.discipline]
        coming = np.zeros(rules.autoscaling.max if rules.autoscaling else 0)
        coming[: len(state.scaling.coming)] = state.scaling.coming
        self.arrays = Arrays(
            terms=fixed.terms(
                stretch.end, state, self._ahead.sizes if self._ahead else (0, 0, 0), learning.samples
            ),
            scale=np.array(rules.service.scale),
            mean=np.array(rules.service.mean),
            work=work_of(learning),
            ahead=Ahead(*known),
            events=_heap(EVENTS + len(state.batch_of) + rules.max_batch),
            sends=Sends(**state.sends),
            rows=Rows(**state.rows),
            asked=_asked(stretch, rows if rules.decides.any() else 0),
            requests=self._ahead.requests if self._ahead else NOBODY,
            versions=versions_held(learning),
            labels=labels_of(rules, learning),
            prices=prices,
            lists=_lists(n, rules.clients.size if discipline.is_by_client else 0, discipline.has_line),
            replicas=_replicas(state),
            groups=fixed.groups,
            clients=fixed.clients(state),
            budgets=fixed.budgets._replace(**state.budgets),
            door=fixed.door._replace(**state.admission),
            cuts=fixed.cuts,
            slow_links=fixed.slow_links,
            slow_service=slowdowns([within(learning.slowness, begin, stretch.end)]),
            drawn=Drawn(*(np.zeros((0, rows)) for _ in range(3))),
            stopped=np.empty((in_service + 16, 3)),
            steps=steps,
            coming=coming,
        )
        self._rows_drawn = rows
        self.arrays.lists.listed[: len(state.waiting)] = state.waiting
        for batch in state.batch_of:
            self.arrays.lists.after[batch[:-1]] = batch[1:]
        if fixed.groups.max_attempts.max() > 1 or rules.has_closed_loops:
            self.make_room()
        self.set(attempts_drawn=1)  # nobody looks at those of the first, but where links are slow
        if len(fixed.slow_links.line):
            self.set(attempts_drawn=0)
            self.draw_attempt()

    def set(self, **numbers: Any) -> None:
        """Sets registers."""
        for name, number in numbers.items():
            self.registers[name] = number

    def help(self, why: int) -> None:
        """Gives what a clock came back for."""
        if why == NO_ROOM:
            self.make_room()
        elif why == WANTS_ATTEMPT:
            self.draw_attempt()
        elif why == WANTS_REQUESTS:
            assert self._ahead is not None
            self._ahead.draw(self.arrays.clients.next_k, only_short=True)
        else:
            self.redraw()

    def make_room(self) -> None:
        """Twice as much of everything that may have run full."""
        w, n = self.arrays, int(self.registers["sends"][0])
        more, most = n + ROOM, len(w.replicas.size)
        sends = {name: _longer(column, n, more) for name, column in w.sends._asdict().items()}
        for name, nothing in NEW_SEND.items():
            sends[name][n:] = nothing
        lists = w.lists._replace(
            line=Heap(*(_longer(column, len(column), more) for column in w.lists.line)),
            **{
                name: _longer(getattr(w.lists, name), n, more)
                for name in ("after", "before", "listed", "behind")
            },
            is_due_set=_longer(w.lists.is_due_set, n, more),
        )
        lists.is_due_set[n:] = False
        if self._rules.has_closed_loops:
            self._make_room_for_rows()
        self.arrays = self.arrays._replace(
            sends=Sends(**sends),
            lists=lists,
            events=Heap(*(self._if_full(column, "events", EVENTS + most) for column in w.events)),
            stopped=self._if_full(w.stopped, "stopped", int(self.registers["inside"][0])),
            steps=self._if_full(w.steps, "steps", 0),
        )

    def _if_full(self, column: NDArray[Any], count: str, reserve: int) -> NDArray[Any]:
        """Twice as long, and the reserve, unless that much is free."""
        n = int(self.registers[count][0])
        reserve += self._rules.max_batch + 4
        if n + reserve < len(column) // 2:
            return column
        return _longer(column, n, max(n, 2 * reserve))

    def _make_room_for_rows(self) -> None:
        w, n = self.arrays, int(self.registers["rows"][0])
        more = n + ROOM
        drawn = (
            np.concatenate([one, np.full((len(one), n + more - one.shape[1]), np.nan)], axis=1)
            for one in w.drawn
        )
        self.arrays = w._replace(
            rows=Rows(*(_longer(column, n, more) for column in w.rows)),
            asked=Asked(*(_longer(column, n, more) for column in w.asked)),
            drawn=Drawn(*drawn),
        )

    def draw_attempt(self) -> None:
        """What chance decides for one more attempt of every request that was sent, even if it never comes; in
        closed loops first for those that have arrived since."""
        rows, drawn = int(self.registers["rows"][0]), int(self.registers["attempts_drawn"][0])
        if rows > self._rows_drawn:
            for attempt in range(1, drawn + 1):
                self._draw_attempt(attempt, self._rows_drawn)
        else:
            more = np.full(
                (1 if len(self.arrays.drawn.up) else drawn + 1, len(self.arrays.rows.client)), np.nan
            )
            self.arrays = self.arrays._replace(
                drawn=Drawn(*(np.concatenate([known, more]) for known in self.arrays.drawn))
            )
            self._draw_attempt(drawn + 1, 0)
            self.set(attempts_drawn=drawn + 1)
        self._rows_drawn = rows

    def _draw_attempt(self, attempt: int, first: int) -> None:
        """Draws an attempt of the rows from the first on that were sent."""
        w, n = self.arrays, int(self.registers["rows"][0])
        sent = np.zeros(n, dtype=bool)
        sent[w.sends.row[: int(self.registers["sends"][0])]] = True
        sent[:first] = False
        group = self._rules.clients.group[w.rows.client[:n]]
        for g, patience in enumerate(self._rules.patience):
            if attempt <= patience.max_attempts and attempt <= len(w.drawn.up):
                mine = np.flatnonzero(sent & (group == g))
                request = w.rows.request_id[mine]
                w.drawn.up[attempt - 1, mine] = patience.link.up_many(request, attempt)
                w.drawn.down[attempt - 1, mine] = patience.link.down.many(request, attempt)
                w.drawn.factor[attempt - 1, mine] = self._rules.service.factor_many(request, attempt)

    def redraw(self) -> None:
        """Another factor of the service time for each send that was put back."""
        sends, rows, service = self.arrays.sends, self.arrays.rows, self._rules.service
        for send in self.arrays.lists.listed[: self.registers["put_back"][0]].tolist():
            request = int(rows.request_id[sends.row[send]])
            sends.factor[send] = service.factor_one(
                request, int(sends.attempt[send]), int(sends.returns[send])
            )
        self.set(put_back=0)

    def read_back(self) -> Played:
        """Leaves the state as it is now; tells what its columns do not."""
        w, state, r = self.arrays, self._state, self.registers[0]
        state.sends = {name: column[: r["sends"]] for name, column in w.sends._asdict().items()}
        if self._rules.has_closed_loops:
            state.rows = {name: column[: r["rows"]] for name, column in w.rows._asdict().items()}
        state.waiting = w.lists.listed[: r["waiting"]].tolist()
        state.returned = int(r["returned"])
        state.replicas, state.taken = int(r["replicas"]), int(r["taken"])
        state.scaling.coming = w.coming[: r["coming"]].tolist()
        for name in MEASURED:
            setattr(state.scaling, name, float(r[name]))
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


def _lists(n: int, clients: int, has_line: bool) -> Lists:
    """clients: how many have lines of their own."""
    after, before, listed = (np.empty(n, dtype=np.int64) for _ in range(3))
    room = max(n, clients) if has_line else 0
    behind, last_of = np.empty(n, dtype=np.int64), np.empty(clients, dtype=np.int64)
    first_of = np.full(clients, -1, dtype=np.int64)
    return Lists(after, before, np.zeros(n, dtype=bool), _heap(room), listed, behind, first_of, last_of)


def _asked(stretch: Stretch, rows: int) -> Asked:
    """What is compared by the decisions that are taken as requests come."""
    found = Asked(*(np.zeros(rows) for _ in Asked._fields))
    for one in stretch.undecided:
        for column, values in zip(found, (*one.asked.columns(), one.coin), strict=True):
            column[one.row] = values
    return found


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
