"""Laws that every run must keep, checked while its rows are written; a violation fails the run.
The time line's own law (the integral of N(t)) is checked in `sim.results.timeline`; the clocks check that
time never runs backwards."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sim.engine.state import Columns, Ended, State
from sim.errors import RunFailed
from sim.results.answer_audit import check_answerers
from sim.results.budget_audit import charge, nothing_charged
from sim.results.call_audit import CallAudit
from sim.results.columns import OUTCOMES
from sim.results.energy_audit import EnergyAudit
from sim.results.link_audit import audited
from sim.results.load_audit import LoadAudit
from sim.results.stage_audit import audit_stages
from sim.results.transmission_audit import TransmissionAudit
from sim.world.budgets import NO_ACCOUNT
from sim.world.population import CLIENT_SHIFT
from sim.world.stations import Station
from sim.world.world import World

_REMOTE = OUTCOMES.index("remote")
_ORDERS = (
    (
        *("arrived_at_s", "decided_at_s", "sent_at_s", "computed_at_s"),
        *("reached_at_s", "started_at_s", "finished_at_s"),
    ),
    ("arrived_at_s", "first_answer_at_s", "answered_at_s"),
)
_KEPT = ("_steps", "_is_scaled", "_ledger", "_charged", "_rows_of", "_numbers_of", "_outcomes", "_links")
_KEPT_OF = {
    "calls": ("ended", "calls"),
    "loads": ("starts", "in_memory", "is_known", "last_at", "last_ends"),
    "energy": ("drawn", "asked", "listens_until", "sent"),
    "transmissions": ("members",),
}


def add_changes(steps: list[tuple[float, int]], more: list[tuple[float, int]]) -> None:
    """Appends those steps of (instant, usable replicas) that change the number."""
    for step in more:
        if not steps or step[1] != steps[-1][1]:
            steps.append(step)


class Verifier:
    """Looks at every part of `requests` and `attempts` once, and at the whole at the end."""

    def __init__(self, world: World) -> None:
        scenario, parameters = world.scenario, world.parameters
        clients, self._names = parameters.clients.size, scenario.station_names
        known = [station.capacity for station in parameters.stations]
        self._steps = [[*zip(one.at_s.tolist(), one.usable.tolist(), strict=True)] for one in known]
        self._is_scaled = [False] * len(known)
        self._parameters, self._most_waiting = (
            parameters,
            [_most_waiting(station) for station in parameters.stations],
        )
        self._cut = parameters.links.hit(clients)
        self._ledger = nothing_charged(parameters.accounts.allotments)
        self._charged: list[tuple[float, int]] = []  # (sent, account), not yet recounted
        self._rows_of = np.zeros(clients, dtype=np.int64)
        self._numbers_of = np.zeros(clients)  # sum of the numbers k of a client's rows
        self._outcomes = np.zeros(len(OUTCOMES), dtype=np.int64)
        self._links: list[list[float]] = [[] for _ in parameters.network.names]
        self._energy, self._calls = EnergyAudit(parameters), CallAudit(parameters)
        self._loads, self._transmissions = LoadAudit(parameters), TransmissionAudit(parameters)

    def chunk(self, requests: pa.Table, attempts: pa.Table, last: bool) -> None:
        """Raises RunFailed if a row breaks a law."""
        for names in _ORDERS:
            self._check_order(requests, names)
        self._check_order(attempts, _ORDERS[0][2:])
        for table in (requests, attempts):
            self._check_replicas(table)
            self._check_links(table)
            self._check_parts(table)
        self._check_answers(requests)
        check_answerers(requests)
        outcomes = np.bincount(requests["outcome"].combine_chunks().indices, minlength=len(OUTCOMES))
        if outcomes[OUTCOMES.index("in_flight")] and not last:
            raise RunFailed("run", "a request was written before its outcome was known")
        ids = requests["request_id"].to_numpy()
        if len(ids) > 1 and not np.all(np.diff(ids) > 0):
            raise RunFailed("run", "rows are out of order, or a request was written twice")
        self._outcomes += outcomes
        client, number = _clients_of(requests), ids & ((1 << CLIENT_SHIFT) - 1)
        first = np.flatnonzero(np.diff(client, prepend=-1))  # of each client that is among them
        self._rows_of[client[first]] += np.diff(first, append=len(client))
        if len(first):
            self._numbers_of[client[first]] += np.add.reduceat(number, first)

    def scaled(self, server: int, steps: list[tuple[float, int]]) -> None:
        """Usable replicas as the loop had them: with an autoscaler nobody knows them beforehand."""
        if not self._is_scaled[server]:
            self._steps[server], self._is_scaled[server] = [], True
        add_changes(self._steps[server], steps)

    def spent(self, ended: Ended, charged: NDArray[np.bool_], open_since: float) -> None:
        """Raises RunFailed if more was charged than a budget held: a recount in the order of the sends.

        open_since: when the oldest request arrived that has not ended; later sends are recounted later.
        """
        drawn_on, sends = self._parameters.accounts, ended.sends
        if not drawn_on.allotments:
            return
        account = drawn_on.of_client[ended.rows["client"][sends["row"]]]
        mine = charged & (account != NO_ACCOUNT)
        self._charged += zip(sends["sent"][mine].tolist(), account[mine].tolist(), strict=True)
        self._charged.sort()
        known = bisect_left(self._charged, (open_since, 0))
        for sent, owner in self._charged[:known]:
            if not charge(self._ledger, owner, drawn_on.allotments[owner], sent):
                raise RunFailed("run", f"more was spent than the budget held, by a send at {sent} s")
        del self._charged[:known]

    def drew(self, ended: Ended, open_since: float) -> None:
        """Takes note of the energy of requests that ended; open_since: as for `spent`."""
        self._energy.add(ended, open_since)

    def called(self, ended: Ended, open_since: float) -> None:
        """Raises RunFailed if a serverless call was cold and need not be, or the reverse; a model came into
        memory that was there, or the reverse; or what could not left together. open_since: as for `spent`."""
        self._calls.add(ended, open_since)
        self._loads.add(ended, open_since, self._steps)
        self._transmissions.add(ended, open_since)

    def passed(self, ended: Ended) -> None:
        """Raises RunFailed if a shared link let more or less pass than it could, or in another order; or a
        pipeline did."""
        audit_stages(self._parameters, ended.sends)
        self._links = audited(self._parameters.network, ended.passages, self._links)

    def waited(self, server: int, most: NDArray[np.int64]) -> None:
        """Raises RunFailed if more waited at a server, second by second, than there are places."""
        if len(most) and most.max() > self._most_waiting[server]:
            limit = f"a queue of {self._most_waiting[server]:.0f}"
            raise RunFailed("run", f"{most.max()} requests waited in {limit} places")

    def finish(self, state: State, energy: Columns, at_s: float) -> None:
        """Raises RunFailed if some request is missing, or was counted twice, or energy was lost or made.

        energy: of each client at the end of the run, which is `at_s`.
        """
        self._energy.finish(energy, at_s)
        arrived, written = int(state.next_k.sum()), int(self._outcomes.sum())
        if arrived != written or not np.array_equal(state.next_k, self._rows_of):
            raise RunFailed("run", f"{arrived} requests arrived, {written} have an outcome")
        if not np.array_equal(state.next_k * (state.next_k - 1) / 2, self._numbers_of):
            raise RunFailed("run", "a request was written twice, and another one never")

    def kept(self) -> dict[str, Any]:
        """What the checks to come depend on."""
        own = {name: getattr(self, name) for name in _KEPT}
        return own | {
            name: {one: getattr(getattr(self, f"_{name}"), one) for one in kept}
            for name, kept in _KEPT_OF.items()
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Goes on where `kept` was taken."""
        vars(self).update((name, kept[name]) for name in _KEPT)
        for name, of_audit in _KEPT_OF.items():
            for one in of_audit:
                setattr(getattr(self, f"_{name}"), one, kept[name][one])

    def _check_order(self, table: pa.Table, names: tuple[str, ...]) -> None:
        latest, is_wrong = np.full(len(table), -np.inf), np.zeros(len(table), dtype=bool)
        names = tuple(name for name in names if name in table.column_names)
        for name in names:
            at = table[name].to_numpy()
            is_wrong |= at < latest  # what did not happen is NaN, and neither early nor late
            latest = np.fmax(latest, at)
        if np.any(is_wrong):
            request = table["request_id"][int(np.argmax(is_wrong))].as_py()
            raise RunFailed("run", f"times of request {request} are out of order: {' <= '.join(names)}")

    def _check_replicas(self, table: pa.Table) -> None:
        started, replica = table["started_at_s"].to_numpy(), table["replica"].to_numpy()
        begun = ~np.isnan(started)
        asked = self._servers_of(table)
        for server, steps in enumerate(self._steps):
            least = min(usable for _, usable in steps)  # who is below it need not be looked at
            mine = np.flatnonzero(begun & (replica >= least) & (asked is None or asked == server))
            wrong = mine[replica[mine] >= self._usable_at(server, started[mine])]
            if len(wrong):
                at = started[wrong[0]]
                raise RunFailed("run", f"a batch started at {at} s on a replica that was not usable")

    def _servers_of(self, table: pa.Table) -> NDArray[np.int64] | None:
        """The server that each row asked last; None: there is one, or one for all."""
        if "server" in table.column_names:
            found: NDArray[np.int64] = table["server"].combine_chunks().indices.to_numpy()
            return found
        if len(self._steps) == 1:
            return None
        server = np.array([options[0].server for options in self._parameters.options])
        asked: NDArray[np.int64] = server[
            self._parameters.clients.group[table["request_id"].to_numpy() >> CLIENT_SHIFT]
        ]
        return asked

    def _check_answers(self, requests: pa.Table) -> None:
        """An answer that counts came while its client still waited for it."""
        names = ("arrived_at_s", "sent_at_s", "answered_at_s")
        arrived, sent, answered = (requests[name].to_numpy() for name in names)
        group = self._parameters.clients.group[_clients_of(requests)]
        timeout_s, deadline_s = np.array([(p.timeout_s, p.deadline_s) for p in self._parameters.patience]).T
        gives_up = np.minimum(sent + timeout_s[group], arrived + deadline_s[group])
        late = np.flatnonzero(_is_remote(requests) & ~(answered <= gives_up))
        if len(late):
            request, at = requests["request_id"][int(late[0])].as_py(), answered[late[0]]
            raise RunFailed(
                "run", f"request {request} counts an answer of {at} s, when its client had given up"
            )

    def _check_links(self, table: pa.Table) -> None:
        """No message passed a link that was cut; of answers those that came are known."""
        if not self._cut.any():
            return
        client = table["request_id"].to_numpy() >> CLIENT_SHIFT
        names = [("sent_at_s", "reached_at_s")]
        names += [("finished_at_s", "answered_at_s")] if "answered_at_s" in table.column_names else []
        for leaves, arrives in names:
            left, came = table[leaves].to_numpy(), table[arrives].to_numpy()
            if leaves == "sent_at_s" and "computed_at_s" in table.column_names:
                left = np.where(np.isnan(came), left, np.fmax(left, table["computed_at_s"].to_numpy()))
            here = self._cut[client] & ~np.isnan(left)
            if leaves == "finished_at_s":
                here &= _is_remote(table)
            until = np.where(np.isnan(came), left, came)
            for who, t0, t1 in zip(
                client[here].tolist(), left[here].tolist(), until[here].tolist(), strict=True
            ):
                if not self._parameters.links.downtime(who).is_up_through(t0, t1):
                    raise RunFailed("run", f"a message of client {who} passed a link that was cut, at {t0} s")

    def _check_parts(self, table: pa.Table) -> None:
        """No device did its part of an attempt in less time than it takes; no first one left without."""
        if "computed_at_s" not in table.column_names:
            return
        options, ids = self._parameters.options, table["request_id"].to_numpy()
        group = self._parameters.clients.group[ids >> CLIENT_SHIFT]
        place = np.cumsum([0, *map(len, options)])[group]
        if "option" in table.column_names:
            place = place + np.maximum(table["option"].to_numpy(), 0)
        takes_s = np.array([one.device_s for of_group in options for one in of_group])[place]
        computed = table["computed_at_s"].to_numpy()
        wrong = computed - table["sent_at_s"].to_numpy() < takes_s - 1e-9 * (1.0 + computed)
        number = table["attempt" if "attempt" in table.column_names else "attempts"].to_numpy()
        left = ~np.isnan(table["reached_at_s"].to_numpy())
        wrong |= (number == 1) & left & (takes_s > 0) & np.isnan(computed)
        if np.any(wrong):
            raise RunFailed("run", f"request {ids[wrong][0]} left before its device had done its part")

    def _usable_at(self, server: int, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """As many replicas of a server as were usable at each instant; where several changes share it, the
        most."""
        at_s, usable = np.array(self._steps[server]).T
        instants, first = np.unique(at_s, return_index=True)
        step = np.searchsorted(instants, t, side="right") - 1
        most, later = np.maximum.reduceat(usable, first), usable[np.append(first[1:], len(at_s)) - 1]
        found: NDArray[np.float64] = np.where(instants[step] == t, most[step], later[step])
        return found


def _is_remote(requests: pa.Table) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = requests["outcome"].combine_chunks().indices.to_numpy() == _REMOTE
    return found


def _most_waiting(station: Station) -> float:
    """Places in the queue; what an outage puts back may wait beside them, no more than was in service."""
    inside = station.most_replicas * station.stages * station.max_batch
    returned = inside if station.in_flight == "requeue" else 0
    return station.queue_limit + returned


def _clients_of(requests: pa.Table) -> NDArray[np.int64]:
    """Whose each request is, as it is written, (n,); by its id where that is left out."""
    if "client_id" in requests.column_names:
        return np.asarray(requests["client_id"].to_numpy())
    return np.asarray(requests["request_id"].to_numpy() >> CLIENT_SHIFT)
