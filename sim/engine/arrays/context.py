"""The arrays that a clock's handlers work on for one stretch of time: laid out, helped along, read back.
Both clocks play by way of this; what it keeps between two stretches is the state alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.arrays.columns_of import (
    asked_of,
    coming_of,
    held_by_clients,
    labels_of,
    lists_of,
    newer_of,
    replicas_of,
    wanted_of,
    work_of,
)
from sim.engine.arrays.laying_out import Fixed, slowdowns, widths_of, within
from sim.engine.arrays.layout import Ahead, Arrays, Asked, Batteries, Drawn, Functions, Rows, Sends
from sim.engine.arrays.network import network_of, with_room
from sim.engine.arrays.records import REGISTERS
from sim.engine.arrays.requests_ahead import NO_REQUESTS
from sim.engine.arrays.room import Heap, heap_of, longer, wider
from sim.engine.arrays.servers import MEASURED, SWITCHED, stations
from sim.engine.arrays.sessions import draw_items
from sim.engine.clock import Played, Stretch
from sim.engine.events import CAPACITY, NO_ROOM, NOBODY, READY, SCALE, WANTS_ATTEMPT, WANTS_REQUESTS
from sim.engine.learning import Learning
from sim.engine.state import NEW_SEND, State
from sim.engine.station_state import StationState
from sim.world.parameters import Parameters

EVENTS = 256  # room in the heap to begin with, beside what one event may add
ROOM = 64  # for retries, at least, each time that there is none
MOST_ROOM = 1 << 14  # so for requests of closed loops, of which there will be many


class Context:
    """The arrays of one stretch."""

    def __init__(
        self, fixed: Fixed, functions: Functions, state: State, stretch: Stretch, learning: Learning
    ) -> None:
        self._parameters, self._state, self._learning = fixed.parameters, state, learning
        # What one event may add to the heap, of a server's batch or of what clients send together.
        self._max_batch = (
            max(one.max_batch for one in fixed.parameters.stations) + 2 * fixed.parameters.most_batched
        )
        parameters, n, servers = fixed.parameters, len(state.sends["row"]), state.stations
        in_service = sum(len(batch) for server in servers for batch in server.batch_of)
        begin, known, rows = stretch.begin, stretch.known, len(state.rows["client"])
        self.registers = np.zeros(1, dtype=REGISTERS).view(np.recarray)  # so that plain Python reads it, too
        self.set(now=begin, sends=n, steps=len(servers), rows=rows, must_serve=NOBODY)
        self.stations = stations(parameters, state, begin)
        changes = np.isin(known.do, (CAPACITY, SCALE, READY))
        ordered = sum(len(server.scaling.coming) for server in servers)
        steps = np.empty((1 + len(servers) + 2 * np.count_nonzero(changes) + ordered, 5))
        for number, server in enumerate(servers):
            steps[number] = begin, server.usable, number, server.held, 0.0
        self._ahead = (
            fixed.ahead.of(parameters, learning, state, begin, stretch.end)
            if parameters.has_closed_loops
            else None
        )
        self._room = ROOM if self._ahead is None else min(max(ROOM, self._ahead.count), MOST_ROOM)
        self.arrays = Arrays(
            constants=fixed.constants(
                stretch.end, state, self._ahead.sizes if self._ahead else (0, 0, 0), learning.samples
            ),
            scale=np.concatenate([one.service.scale for one in parameters.stations]),
            mean=np.concatenate([one.service.mean for one in parameters.stations]),
            work=work_of(learning),
            widths=widths_of(parameters),
            ahead=Ahead(*known),
            events=heap_of(1, EVENTS + _most_at_begin(parameters, state) + self._max_batch),
            sends=Sends(**state.sends),
            rows=Rows(**state.rows),
            asked=asked_of(
                fixed.groups.scores.max(), stretch, rows if parameters.decided_in_loop.any() else 0
            ),
            newer=newer_of(fixed.groups.scores.max(), stretch, rows),
            requests=self._ahead.requests if self._ahead else NO_REQUESTS,
            sessions=fixed.ahead.items.of(parameters, learning, state),
            versions=held_by_clients(learning.schedule.rejectors),
            cells=held_by_clients(parameters.cells.in_force),
            labels=labels_of(parameters, learning),
            functions=functions,
            lists=lists_of(n, len(state.last_started), parameters),
            replicas=replicas_of(state),
            groups=fixed.groups,
            options=fixed.options,
            clients=fixed.clients(state),
            budgets=fixed.budgets._replace(**state.budgets),
            door=fixed.door._replace(**state.admission),
            cuts=fixed.cuts,
            slow_links=fixed.slow_links,
            slow_service=slowdowns(
                len(servers),
                enumerate(within(one.slowness, begin, stretch.end) for one in parameters.stations),
            ),
            drawn=Drawn(*(np.zeros((0, rows)) for _ in range(3))),
            network=network_of(parameters, state),
            power=parameters.power,
            batteries=Batteries(**state.batteries),
            stopped=np.empty((in_service + 16, 4)),
            steps=steps,
            coming=coming_of(parameters, state),
            used_at=np.concatenate([np.array(one.used_at, dtype=np.float64) for one in servers]),
            wanted=wanted_of(parameters, state),
        )
        self._rows_drawn, listed = rows, [send for server in servers for send in server.waiting]
        self.arrays.lists.listed[: len(listed)] = listed
        for server in servers:
            for batch in server.batch_of:
                self.arrays.lists.after[batch[:-1]] = batch[1:]
        if fixed.groups.max_attempts.max() > 1 or parameters.has_closed_loops:
            self.make_room()
        # Nobody looks at those of the first, but where links are slow, there are several or it is made later.
        self.set(attempts_drawn=1)
        is_drawn = parameters.most_options > 1 or parameters.comes_in_loop.any() or parameters.computes.any()
        if len(fixed.slow_links.line) or is_drawn or parameters.most_batched > 0 or parameters.has_sessions:
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
            self._ahead.draw(self.arrays.clients.next_k)
            draw_items(self.arrays.sessions, self._parameters, self._learning)
        else:
            self.redraw()

    def make_room(self) -> None:
        """Twice as much of everything that may have run full, and of nothing else."""
        if self.registers["sends"][0] >= len(self.arrays.sends.row):
            self._make_room_for_sends()
        if self._parameters.has_closed_loops and self.registers["rows"][0] >= len(self.arrays.rows.client):
            self._make_room_for_rows()
        w, most = self.arrays, len(self.arrays.replicas.size)
        self.arrays = w._replace(
            network=with_room(w.network, len(w.sends.row), int(self.registers["passed"][0])),
            events=Heap(*(self._if_full(column[0], "events", EVENTS + most)[None] for column in w.events)),
            stopped=self._if_full(w.stopped, "stopped", int(self.stations["inside"].sum())),
            steps=self._if_full(w.steps, "steps", 0),
        )

    def _make_room_for_sends(self) -> None:
        w, n = self.arrays, int(self.registers["sends"][0])
        more = n + self._room
        sends = {name: longer(column, n, more) for name, column in w.sends._asdict().items()}
        for name, nothing in NEW_SEND.items():
            sends[name][n:] = nothing
        lists = w.lists._replace(
            line=Heap(*(wider(column, column.shape[1] + more) for column in w.lists.line)),
            **{
                name: longer(getattr(w.lists, name), n, more)
                for name in ("after", "before", "listed", "behind")
            },
            is_due_set=longer(w.lists.is_due_set, n, more),
        )
        lists.is_due_set[n:] = False
        self.arrays = w._replace(sends=Sends(**sends), lists=lists)

    def _if_full(self, column: NDArray[Any], count: str, reserve: int) -> NDArray[Any]:
        """Twice as long, and the reserve, unless that much is free."""
        n = int(self.registers[count][0])
        reserve += self._max_batch + 4
        if n + reserve < len(column) // 2:
            return column
        return longer(column, n, max(n, 2 * reserve))

    def _make_room_for_rows(self) -> None:
        w, n = self.arrays, int(self.registers["rows"][0])
        more = n + self._room
        self.arrays = w._replace(
            rows=Rows(*(longer(column, n, more) for column in w.rows)),
            asked=Asked(*(longer(column, n, more) for column in w.asked)),
            drawn=Drawn(*(wider(one, n + more) for one in w.drawn)),
        )

    def draw_attempt(self) -> None:
        """What chance decides for one more attempt of every request that was sent, even if it never comes; in
        closed loops first for those that have arrived since."""
        rows, drawn = int(self.registers["rows"][0]), int(self.registers["attempts_drawn"][0])
        ways = self._parameters.most_ways
        if rows > self._rows_drawn:
            for attempt in range(1, drawn + 1):
                self._draw_attempt(attempt, self._rows_drawn)
        else:
            known = len(self.arrays.drawn.uplink_s) // ways
            more = np.full(((1 if known else drawn + 1) * ways, len(self.arrays.rows.client)), np.nan)
            self.arrays = self.arrays._replace(
                drawn=Drawn(*(np.concatenate([one, more]) for one in self.arrays.drawn))
            )
            self._draw_attempt(drawn + 1, 0)
            self.set(attempts_drawn=drawn + 1)
        self._rows_drawn = rows

    def _draw_attempt(self, attempt: int, first: int) -> None:
        """Draws an attempt of the rows from the first on that were sent, or may be, each way to an option."""
        w, n, parameters = self.arrays, int(self.registers["rows"][0]), self._parameters
        place = (attempt - 1) * parameters.most_ways
        sent = np.zeros(n, dtype=bool)
        sent[w.sends.row[: int(self.registers["sends"][0])]] = True
        group = parameters.clients.group[w.rows.client[:n]]
        sent |= parameters.comes_in_loop[group] & np.isnan(w.rows.completed_at[:n])
        sent[:first] = False
        for g, patience in enumerate(parameters.patience):
            most = patience.max_attempts + (patience.hedge_after_s < np.inf)
            if attempt <= most and place < len(w.drawn.uplink_s):
                mine = np.flatnonzero(sent & (group == g))
                request = w.rows.request_id[mine]
                for row, way in enumerate(parameters.ways[g], start=place):
                    service = parameters.stations[way.server].service
                    w.drawn.uplink_s[row, mine] = way.link.up_many(request, attempt)
                    w.drawn.downlink_s[row, mine] = way.link.down_many(request, attempt)
                    w.drawn.service_factor[row, mine] = service.factor_many(request, attempt)

    def redraw(self) -> None:
        """Another factor of the service time for each send that was put back."""
        sends, rows = self.arrays.sends, self.arrays.rows
        for send in self.arrays.lists.listed[: self.registers["put_back"][0]].tolist():
            request = int(rows.request_id[sends.row[send]])
            service = self._parameters.stations[int(sends.server[send])].service
            sends.service_factor[send] = service.factor_one(
                request, int(sends.attempt[send]), int(sends.returns[send])
            )
        self.set(put_back=0)

    def read_back(self) -> Played:
        """Leaves the state as it is now; tells what its columns do not."""
        w, state, r = self.arrays, self._state, self.registers[0]
        state.sends = {name: column[: r["sends"]] for name, column in w.sends._asdict().items()}
        if self._parameters.has_closed_loops:
            state.rows = {name: column[: r["rows"]] for name, column in w.rows._asdict().items()}
        listed = 0
        for server, s in zip(state.stations, self.stations, strict=True):
            server.waiting = w.lists.listed[listed : listed + s.waiting].tolist()
            listed += s.waiting
            server.returned = int(s.returned)
            server.replicas, server.taken = int(s.replicas), int(s.taken)
            server.scaling.coming = w.coming[s.first_coming : s.first_coming + s.coming].tolist()
            server.scaling.wanted = w.wanted[s.first_wanted : s.first_wanted + s.remembers].tolist()
            for name in MEASURED:
                setattr(server.scaling, name, float(s[name]))
            for name in SWITCHED:
                setattr(server.switched, name, int(s[name]))
            server.used_at = w.used_at[s.first_memory : s.first_memory + len(server.used_at)].tolist()
            self._read_batches(server, int(s.first_replica))
        steps: list[list[tuple[float, int]]] = [[] for _ in state.stations]
        halts: list[list[tuple[float, int, float]]] = [[] for _ in state.stations]
        for at, usable, number, held, thrown_away_s in w.steps[: r["steps"]].tolist():
            steps[int(number)].append((at, int(usable)))
            halts[int(number)].append((at, int(held), thrown_away_s))
        stopped = w.stopped[: r["stopped"]].copy()
        passed = w.network.passed[: r["passed"]].copy()
        return Played(self.stations["area"].tolist(), stopped, steps, halts, passed)

    def _read_batches(self, server: StationState, first: int) -> None:
        replicas, after = self.arrays.replicas, self.arrays.lists.after
        for place in range(len(server.batch_of)):
            size = int(replicas.size[first + place])
            batch = [int(replicas.head[first + place])][:size]
            while len(batch) < size:
                batch.append(int(after[batch[-1]]))
            server.batch_of[place] = batch
            if batch:
                server.ends[place] = float(replicas.ends[first + place])
                server.since[place] = float(replicas.since[first + place])
            server.warm_until[place] = float(replicas.warm_until[first + place])
            server.left[place] = float(replicas.left[first + place])
        server.cleared = replicas.cleared[first : first + len(server.batch_of)].tolist()


def _most_at_begin(parameters: Parameters, state: State) -> int:
    """How many events `walk.begin` may put, which asks for no room: of each server the ends of its batches,
    pipelines whose first stage will be free, replicas on order and a batch that is due; of each shared link
    what passes next."""
    return len(parameters.network.names) + sum(
        len(one.batch_of) + len(one.batch_of) // one.stages + len(one.scaling.coming) + 1
        for one in state.stations
    )
