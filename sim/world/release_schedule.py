"""When the server learns and when the fleet hears of it: rounds, versions, copies and rejectors over time.
Pure functions of the scenario, and of the gaps that rounds have chosen where gaps are adaptive: else all is
known before t = 0. `sim.engine.learning` walks along them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.periods import begin_of, periods_before
from sim.registry.scores import SCORES
from sim.scenario import Scenario
from sim.world.federation import Federated, RejectorUpdate
from sim.world.outages.capacity import Capacity
from sim.world.outages.links import Links
from sim.world.population import Population
from sim.world.reachable import Reachable, TransferTimes, usable_of
from sim.world.versions import Log, Versions

Instants = NDArray[np.float64]
Spans = tuple[tuple[float, float, float], ...]  # from_s, until_s, factor


@dataclass(frozen=True)
class Round:
    """One round of training that was due, and its fate.

    "made": a new version is in force from `ends_at_s`. "lost": no replica was usable any more at
    `ends_at_s`. "skipped": none was when it was due. "unfinished": it would end at or after the horizon.
    """

    due_at_s: float
    ends_at_s: float
    fate: str


@dataclass(frozen=True)
class Schedule:
    """All instants of a run's learning. Version 0 is what there was before it.

    rounds: every round that was due before the horizon. starts_at_s: float64 (V,), when learners are asked
    for the versions 1 to V. in_force_at_s: float64, of the server's versions, -inf for version 0. copies:
    which version of the server each client holds a copy of; rejectors: the one that its rejector learned
    against last. follows: bool (clients,), whose scores depend on that.

    With federation the server has version 0 alone. What is versioned are the rejectors, by `updates`, one for
    each start, unless prototypes are learned: copies are of what the server merged, counted by themselves.
    news_at_s: when what requests taught is used; copied_at_s, learned_at_s: from when on there are the
    versions that copies and rejectors count. gaps_s: what the rounds so far chose where gaps are adaptive;
    then all up to where the next one begins is as it will ever be.
    """

    rounds: tuple[Round, ...]
    starts_at_s: Instants
    in_force_at_s: Instants
    copies: Versions
    rejectors: Versions
    follows: NDArray[np.bool_]
    news_at_s: Instants
    copied_at_s: Instants
    learned_at_s: Instants
    updates: tuple[RejectorUpdate, ...] = ()
    gaps_s: tuple[float, ...] = ()

    def server_version(self, at_s: Instants) -> NDArray[np.int32]:
        """The server's version in force at each instant; a version is in force from its instant on."""
        return (np.searchsorted(self.in_force_at_s, at_s, side="right") - 1).astype(np.int32)


def rounds(scenario: Scenario, drawn: Capacity, gaps_s: Sequence[float] = ()) -> tuple[Round, ...]:
    """The rounds due before the horizon: at k·every_s, k = 1, 2, …; with adaptive gaps at `at_least_s`, then
    each gap after the begin of the one that chose it, up to the first that has not chosen yet. None without
    `training.online`.

    Simultaneous events in their documented order: a round due when capacity returns is held, and one that
    would end when the last replica stops is lost. With adaptive gaps the next is then due when one is back.
    """
    online, horizon_s = scenario.training.online, scenario.horizon_s
    if online is None:
        return ()
    usable, takes_s = usable_of(scenario, drawn), online.steps * online.step_s
    downs = np.append(usable.at_s[usable.usable == 0], np.inf)

    def held(due: float) -> Round:
        down, ends = float(downs[np.searchsorted(downs, due, side="right")]), due + takes_s
        if not usable.usable_at(due):
            return Round(due, due, "skipped")
        if down <= ends:
            return Round(due, down, "lost")
        return Round(due, ends, "made" if ends < horizon_s else "unfinished")

    if online.adaptive is None:
        every_s = online.every_s
        return tuple(map(held, begin_of(np.arange(1, periods_before(horizon_s, every_s)), every_s).tolist()))
    ups = np.append(usable.at_s[usable.usable > 0], np.inf)
    found, due, chosen = list[Round](), online.adaptive.at_least_s, iter(gaps_s)
    while due < horizon_s:
        found.append(held(due))
        if found[-1].fate == "made":
            due += next(chosen, np.inf)
        else:
            due = float(ups[np.searchsorted(ups, found[-1].ends_at_s, side="right")])
    return tuple(found)


def training_spans(scenario: Scenario, held: tuple[Round, ...]) -> Spans:
    """When the server trains, half-open, and how much longer batches take that start meanwhile: 1/(1 - s) for
    a `capacity_share` of s. A lost round takes its share until the outage; a skipped one none.
    """
    online = scenario.training.online
    if online is None or not online.capacity_share:
        return ()
    factor = 1 / (1 - online.capacity_share)
    return tuple((one.due_at_s, one.ends_at_s, factor) for one in held if one.due_at_s < one.ends_at_s)


def schedule(
    scenario: Scenario,
    clients: Population,
    held: tuple[Round, ...],
    drawn: Capacity,
    links: Links,
    gaps_s: Sequence[float] = (),
) -> Schedule:
    """When every version, copy and rejector of a run comes into force.

    The server sends each client its newest version, one copy at a time, at the first instant at which
    itself and the client's link are up; a version that is superseded before its copy could leave is not
    sent. A copy arrives after a latency and its transfer, which take longer where its link is slow as it
    leaves; one that its link breaks off starts over. A rejector trains on the newest copy there when it
    begins, one training after the other; with adaptive gaps on every copy, for whether it is superseded is
    not known when its round begins. The oracle knows every version at once; scores that are made of
    the client's model alone are sent nothing. held: the rounds; drawn: what outages leave of the server.
    """
    made = [one for one in held if one.fate == "made"]
    in_force = np.array([-np.inf, *(one.ends_at_s for one in made)])
    fleet = _Fleet(scenario, clients, usable_of(scenario, drawn), links)
    for version in range(1, len(in_force)):
        until = in_force[version + 1] if version < len(made) else scenario.horizon_s
        fleet.release(version, float(in_force[version]), float(until))
    fleet.train()
    return Schedule(
        rounds=held,
        starts_at_s=np.array([one.due_at_s for one in made]),
        in_force_at_s=in_force,
        copies=fleet.copies.versions(),
        rejectors=fleet.rejectors.versions(),
        follows=fleet.follows,
        news_at_s=np.array([one.due_at_s for one in made]),
        copied_at_s=in_force,
        learned_at_s=in_force,
        gaps_s=tuple(gaps_s),
    )


def schedule_of(known: Federated) -> Schedule:
    """The schedule where clients learn together, and the server not at all."""
    merged = [one.merges_at_s for one in known.rounds if one.merged]
    learned = [one.in_force_at_s for one in known.updates] if known.of_rejectors else []
    return Schedule(
        rounds=(),
        starts_at_s=np.array([one.at_s for one in known.updates]),
        in_force_at_s=np.array([-np.inf]),
        copies=known.copies,
        rejectors=known.rejectors,
        follows=known.listens,
        news_at_s=np.array([one.at_s for one in known.updates if not one.merges]),
        copied_at_s=np.array([-np.inf, *merged]),
        learned_at_s=np.array([-np.inf, *learned]),
        updates=known.updates,
    )


class _Fleet:
    """Walks all clients together from version to version: who is sent it, and who trains on it."""

    def __init__(self, scenario: Scenario, clients: Population, usable: Capacity, links: Links) -> None:
        n, scores = clients.size, [group.policy.score for group in scenario.fleet]
        self._listens = np.array([SCORES[score].needs_rejector for score in scores])[clients.group]
        self._knows_all = np.array([score == "oracle" for score in scores])[clients.group]
        self.follows = self._listens | self._knows_all
        self._reachable = Reachable(usable, links, n)
        self._scenario, self._group = scenario, clients.group
        online = scenario.training.online
        copy_bytes = 0 if online is None else online.copy_bytes
        self._trains_on_each = online is not None and online.adaptive is not None
        self._copy_times = [TransferTimes(scenario, group, "copy", copy_bytes) for group in scenario.fleet]
        self._link_free, self._device_free = np.full(n, -np.inf), np.full(n, -np.inf)
        self._newest, self._newest_at = np.zeros(n, dtype=np.int32), np.full(n, np.inf)  # not trained on yet
        self.copies, self.rejectors = Log(n, scenario.horizon_s), Log(n, scenario.horizon_s)

    def release(self, version: int, at_s: float, until_s: float) -> None:
        """A version comes into force at `at_s`, the next one at `until_s`."""
        ready = np.maximum(at_s, self._link_free)
        leaves, takes = self._reachable.server_next_up(ready), np.zeros(len(ready))
        for g, times in enumerate(self._copy_times):
            mine = np.flatnonzero(self._group == g)
            takes[mine] = times.of(mine, version)
        for client in self._reachable.hit:
            leaves[client], cut = self._reachable.over(
                client, float(ready[client]), float(takes[client]), until_s
            )
            takes[client] *= self._reachable.factor(client, float(leaves[client]))
            self._link_free[client] = max(self._link_free[client], cut)
        sent = self._listens & (leaves < until_s)
        arrives = np.where(sent, leaves + takes, np.inf)
        self._link_free[sent] = arrives[sent]
        self.copies.add(version, sent, arrives)
        if not self._trains_on_each:
            self.train(before=arrives)
        self._newest[sent], self._newest_at[sent] = version, arrives[sent]
        if self._trains_on_each:
            self.train()
            self._newest[:] = 0
        for log in (self.copies, self.rejectors):
            log.add(version, self._knows_all, np.full(len(sent), at_s))

    def train(self, before: Instants | None = None) -> None:
        """Rejectors learn against the newest copy there, unless the next is there when they would begin."""
        online = self._scenario.training.online
        if online is None:
            return
        begins = np.maximum(self._newest_at, self._device_free)
        trains = self._newest > 0
        if before is not None:
            trains &= (before < np.inf) & (begins < before)  # else it waits for what comes
        done = begins + online.rejector_steps * online.rejector_step_s
        self.rejectors.add(self._newest, trains, done)
        self._device_free[trains] = done[trains]
