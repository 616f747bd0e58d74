"""What chance decides for the requests that clients of closed loops will make next, drawn ahead in columns.
Each is keyed by its request, so it is the same whenever it is drawn; `handlers.arriving` takes it from
here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.arrays.layout import Requests
from sim.engine.arrays.sessions import KeptItems
from sim.engine.decisions import ask, coins, scores_of
from sim.engine.learning import Learning
from sim.engine.state import State
from sim.world.parameters import Parameters
from sim.world.population import CLIENT_SHIFT

FEWEST, MOST = 8, 256  # requests of a client that are drawn at once
AT_ONCE = 1 << 20  # of all clients and cases together, unless that were fewer than the fewest

_NOTHING: Any = (
    *(np.zeros(0, dtype=np.int64) for _ in range(2)),
    np.zeros(0),
    *(np.zeros((0, 0)) for _ in range(3)),
    np.zeros(0),
    np.zeros(0, dtype=np.int32),
    np.zeros(0, dtype=np.float32),
    np.zeros((0, 0)),
    *(np.zeros(0) for _ in range(3)),
    np.zeros((0, 0)),
    np.zeros(0, dtype=np.int64),
)
NO_REQUESTS = Requests(*_NOTHING)


class KeptAhead:
    """What one stretch did not use up is there for the next, unless rejectors have other versions by then."""

    def __init__(self) -> None:
        self._last: RequestsAhead | None = None
        self.items = KeptItems()

    def of(
        self, parameters: Parameters, learning: Learning, state: State, begin: float, end: float
    ) -> RequestsAhead:
        """The next requests of every client of a closed loop, for a stretch [begin, end)."""
        closed = np.flatnonzero([think is not None for think in parameters.thinks]).tolist()
        versions = {g: _held(parameters, learning, g, begin, end) for g in closed}
        if self._last is None or not self._last.serves(versions):
            self._last = RequestsAhead(parameters, learning, versions)
        self._last.draw(state.next_k)
        return self._last


class RequestsAhead:
    """The next requests of every client of a closed loop, under the versions that each group's rejectors may
    have."""

    def __init__(self, parameters: Parameters, learning: Learning, of_groups: dict[int, set[int]]) -> None:
        self._parameters, self._learning, self._versions = parameters, learning, of_groups
        closed = np.array([think is not None for think in parameters.thinks])
        self._clients = np.flatnonzero(closed[parameters.clients.group])
        versions = sorted(set().union(*self._versions.values()))
        phases = [learning.traffic.phases[g] if closed[g] else () for g in range(len(closed))]
        n, cases = len(self._clients), max(map(len, phases)) * len(versions)
        each = min(max(AT_ONCE // max(1, n * cases), FEWEST), MOST)
        self.sizes = each, len(versions), n
        member = np.full(parameters.clients.size, -1, dtype=np.int64)
        member[self._clients] = np.arange(n)
        case_of = np.zeros(len(learning.schedule.learned_at_s), dtype=np.int64)
        case_of[versions] = np.arange(len(versions))
        phase_at_s = np.full((len(closed), max(map(len, phases))), np.inf)
        for row, of_group in zip(phase_at_s, phases, strict=True):
            row[: len(of_group)] = [phase.at_s for phase in of_group]
        own, every = n * each, n * each * cases  # in each phase a sample, in each case a decision
        scores = max(scores_of(parameters, g) for g in self._versions)
        columns: Any = (
            member,
            np.full(n, -each, dtype=np.int64),  # as if all before the first were used up
            np.zeros(own),
            *(np.zeros((parameters.most_ways, own)) for _ in range(3)),
            np.zeros(own),
            np.zeros(every, dtype=np.int32),
            np.zeros(every, dtype=np.float32),
            np.zeros((every, scores)),
            *(np.zeros(every) for _ in range(3)),
            phase_at_s,
            case_of,
        )
        self.requests = Requests(*columns)

    def serves(self, of_groups: dict[int, set[int]]) -> bool:
        """Whether these are the versions that it knows."""
        return self._versions == of_groups

    @property
    def count(self) -> int:
        """How many requests are drawn at once."""
        each, _, clients = self.sizes
        return each * clients

    def draw(self, next_k: NDArray[np.int64]) -> None:
        """Draws from request `next_k` on of each client that has used up most, has none yet, or was put back
        by a restored state."""
        each, _, _ = self.sizes
        base, k = self.requests.base, next_k[self._clients]
        which = np.flatnonzero((k < base) | (k - base >= each - each // 4))
        base[which] = k[which]
        group = self._parameters.clients.group[self._clients[which]]
        for g in self._versions:
            mine = which[group == g]
            if len(mine):
                self._draw_group(g, mine)

    def _draw_group(self, g: int, which: NDArray[np.int64]) -> None:
        parameters, learning, to = self._parameters, self._learning, self.requests
        each, versions, n = self.sizes

        def write(column: NDArray[Any], values: Any, case: int = 0) -> None:
            block = column[case * n * each : (case + 1) * n * each].reshape(n, each)
            block[which] = np.reshape(values, (len(which), each))  # whole rows, not a place at a time

        client: Any = np.repeat(self._clients[which], each)
        k = (to.base[which][:, None] + np.arange(each)).ravel()
        request_id = client << CLIENT_SHIFT | k
        think = parameters.thinks[g]
        assert think is not None
        write(to.think_s, think.before(request_id))
        write(to.coin, coins(parameters, request_id))
        for row, way in enumerate(parameters.ways[g]):
            write(to.uplink_s[row], way.link.up_many(request_id))
            write(to.downlink_s[row], way.link.down_many(request_id))
            write(to.service_factor[row], parameters.stations[way.server].service.factor_many(request_id))
        for phase in range(len(learning.traffic.phases[g])):
            sample = learning.traffic.samples_in(g, phase, request_id, client)
            write(to.sample, sample, phase)
            for version in self._versions[g]:
                one = np.full(len(client), version, dtype=np.int32)
                found, scores = ask(parameters, learning, g, request_id, client, sample, one)
                case = phase * versions + int(to.case_of[version])
                write(to.score, found.score, case)
                write(to.low, found.low, case)
                write(to.high, found.high, case)
                write(to.threshold, found.threshold, case)
                for place, values in enumerate(scores.T):
                    write(to.value[:, place], values, case)


def _held(parameters: Parameters, learning: Learning, g: int, begin: float, end: float) -> set[int]:
    """The versions of the rejectors that some client of a group has in [begin, end)."""
    held, clients = learning.schedule.rejectors, parameters.clients
    mine = np.flatnonzero(clients.group == g)
    here = slice(held.first[mine[0]], held.first[mine[-1] + 1])
    later = (begin < held.at_s[here]) & (held.at_s[here] < end)
    found = held.of(mine.astype(np.int32), np.full(len(mine), begin))
    return set(np.unique(found).tolist()) | set(np.unique(held.version[here][later]).tolist())
