"""When the server learns and when the fleet hears of it: rounds, versions, copies and rejectors over time.
Pure functions of the scenario, and of the gaps that rounds have chosen where gaps are adaptive: else all is
known before t = 0. `sim.engine.learning` walks along them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim.periods import begin_of, periods_before
from sim.registry.scores import SCORES
from sim.scenario import Scenario
from sim.world.federation import Federated, RejectorUpdate
from sim.world.outages.capacity import Capacity
from sim.world.outages.links import Links
from sim.world.population import Population
from sim.world.reachable import Reachable, TransferTimes
from sim.world.trained import Round, asked, kinds_of, of_all, of_each_model, rounds_of_models, usable_of
from sim.world.versions import Log, Versions

Instants = NDArray[np.float64]
Spans = tuple[tuple[float, float, float], ...]  # from_s, until_s, factor


@dataclass(frozen=True)
class Schedule:
    """All instants of a run's learning. Version 0 is what there was before it.

    rounds: every round of every model that was due before the horizon. starts_at_s: float64 (V,), when
    learners are asked for the versions 1 to V. in_force_at_s: float64, of the server's versions, -inf for
    version 0; where several models train a version is what all of them are after rounds that made one of any.
    made: bool (V + 1, models), whose round made it, of version 0 nobody's. copies: which version each client
    holds a copy of; rejectors: the one that its rejector learned against last. follows: bool (clients,),
    whose scores depend on that. counts: int32 (V + 1, groups), how many of the versions so far tell clients
    of a group something new, and heard, float64 (V + 1,), the mean over those that follow; None: all do.
    counted: `copies` and `rejectors` in such versions.

    With federation the server has version 0 alone. What is versioned are the rejectors, by `updates`, one for
    each start, or the `heads`, or nothing; copies are of what the server merged, counted by themselves.
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
    made: NDArray[np.bool_]
    counted: tuple[Versions, Versions]
    counts: NDArray[np.int32] | None = None
    heard: Instants | None = None
    updates: tuple[RejectorUpdate, ...] = ()
    gaps_s: tuple[float, ...] = ()
    heads: Versions | None = None

    def server_version(self, at_s: Instants) -> NDArray[np.int32]:
        """The version in force at each instant; it is in force from its instant on."""
        return (np.searchsorted(self.in_force_at_s, at_s, side="right") - 1).astype(np.int32)

    @cached_property
    def of_models(self) -> NDArray[np.int32]:
        """Which version of its own each model has in each version, int32 (V + 1, models)."""
        return np.cumsum(self.made, axis=0, dtype=np.int32)


def rounds(
    scenario: Scenario, drawn: Capacity, gaps_s: Sequence[float] = (), server: int = 0
) -> tuple[Round, ...]:
    """The rounds of a server due before the horizon: at k·every_s, k = 1, 2, …; with adaptive gaps at
    `at_least_s`, then each gap after the begin of the one that chose it, up to the first that has not chosen
    yet. None without `training.online`.

    Simultaneous events in their documented order: a round due when capacity returns is held, and one that
    would end when the last replica stops is lost. With adaptive gaps the next is then due when one is back.
    """
    online, horizon_s = scenario.training.online, scenario.horizon_s
    if online is None:
        return ()
    usable, takes_s = usable_of(scenario, drawn, server), online.steps * online.step_s
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
    """When a server trains, half-open, and how much longer batches take that start meanwhile: 1/(1 - s) for
    a `capacity_share` of s. A lost round takes its share until the outage; a skipped one none. held: its own.
    """
    online = scenario.training.online
    if online is None or not online.capacity_share:
        return ()
    factor = 1 / (1 - online.capacity_share)
    return tuple((one.due_at_s, one.ends_at_s, factor) for one in held if one.due_at_s < one.ends_at_s)


def schedule(
    scenario: Scenario,
    clients: Population,
    held: Sequence[tuple[Round, ...]],
    drawn: Sequence[Capacity],
    links: Links,
    gaps_s: Sequence[float] = (),
) -> Schedule:
    """When every version, copy and rejector of a run comes into force.

    A client is sent what is new to it of the models that it may be answered by, one copy at a time, at the
    first instant at which its link and, of each of these models, a server that has it are up; a version that
    is superseded before its copy could leave is not sent. A copy arrives after a latency and its transfer,
    as many copies' bytes as there are models in it, which take longer where its link is slow as it
    leaves; one that its link breaks off starts over. A rejector trains on the newest copy there when it
    begins, one training after the other; with adaptive gaps on every copy, for whether it is superseded is
    not known when its round begins. The oracle knows every version at once; scores that are made of
    the client's model alone are sent nothing. held: the rounds of each server; drawn: what outages leave of
    each.
    """
    every = rounds_of_models(scenario, held)
    ends = {one.due_at_s: one.ends_at_s for one in every if one.fate == "made"}
    in_force = np.array([-np.inf, *ends.values()])
    starts, made = list(ends), np.zeros((len(in_force), len(scenario.server_models)), dtype=np.bool_)
    version_of = {due_at_s: version for version, due_at_s in enumerate(starts, start=1)}
    for one in every:
        if one.fate == "made":
            made[version_of[one.due_at_s], one.model] = True
    fleet = _Fleet(scenario, clients, of_each_model(scenario, drawn), links)
    for version in range(1, len(in_force)):
        until = in_force[version + 1] if version < len(ends) else scenario.horizon_s
        fleet.release(version, made[version], float(in_force[version]), float(until))
    fleet.train()
    copies, rejectors = fleet.copies.versions(), fleet.rejectors.versions()
    counts = fleet.counts(made)
    return Schedule(
        rounds=every,
        starts_at_s=np.array(starts),
        in_force_at_s=in_force,
        copies=copies,
        rejectors=rejectors,
        follows=fleet.follows,
        news_at_s=np.array(starts),
        copied_at_s=in_force,
        learned_at_s=in_force,
        made=made,
        counted=(copies, rejectors)
        if counts is None
        else (copies.counted(counts, clients.group), rejectors.counted(counts, clients.group)),
        counts=counts,
        heard=None if counts is None else fleet.mean_of(counts),
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
        made=np.zeros((1, 1), dtype=np.bool_),
        counted=(known.copies, known.rejectors),
        updates=known.updates,
        heads=known.heads,
    )


class _Fleet:
    """Walks all clients together from version to version: who is sent it, and who trains on it."""

    def __init__(
        self, scenario: Scenario, clients: Population, usable: Sequence[Capacity], links: Links
    ) -> None:
        """usable: replicas of the servers that have each model."""
        n, scores = clients.size, [group.policy.score for group in scenario.fleet]
        self._listens = np.array([SCORES[score].needs_rejector for score in scores])[clients.group]
        self._knows_all = np.array([score == "oracle" for score in scores])[clients.group]
        self.follows = self._listens | self._knows_all
        self._usable, self._links, self._reachable = usable, links, dict[tuple[int, ...], Reachable]()
        self._scenario, self._group = scenario, clients.group
        self._asked = asked(scenario)
        self._new = np.zeros((n, len(usable)), dtype=np.bool_)  # to each client, of which models
        online = scenario.training.online
        copy_bytes = 0 if online is None else online.copy_bytes
        self._trains_on_each = online is not None and online.adaptive is not None
        self._copy_times = [TransferTimes(scenario, group, "copy", copy_bytes) for group in scenario.fleet]
        self._link_free, self._device_free = np.full(n, -np.inf), np.full(n, -np.inf)
        self._newest, self._newest_at = np.zeros(n, dtype=np.int32), np.full(n, np.inf)  # not trained on yet
        self.copies, self.rejectors = Log(n, scenario.horizon_s), Log(n, scenario.horizon_s)

    def release(self, version: int, made: NDArray[np.bool_], at_s: float, until_s: float) -> None:
        """A version comes into force at `at_s`, the next one at `until_s`. made: (models,), which are new."""
        self._new |= made & self._asked[self._group]
        ready = np.maximum(at_s, self._link_free)
        leaves, takes = np.full(len(ready), np.inf), np.zeros(len(ready))
        for g, times in enumerate(self._copy_times):
            mine = np.flatnonzero(self._group == g)
            takes[mine] = times.of(mine, version, self._new[mine].sum(axis=1))
        kind = kinds_of(self._new)
        for mine in (kind == one for one in np.unique(kind)):
            models = self._new[np.argmax(mine)].copy()
            if models.any():
                self._leave(mine, self._reaching(models), ready, leaves, takes, until_s)
        sent = self._listens & (leaves < until_s)
        arrives = np.where(sent, leaves + takes, np.inf)
        self._link_free[sent] = arrives[sent]
        self._new[sent] = False
        self.copies.add(version, sent, arrives)
        if not self._trains_on_each:
            self.train(before=arrives)
        self._newest[sent], self._newest_at[sent] = version, arrives[sent]
        if self._trains_on_each:
            self.train()
            self._newest[:] = 0
        for log in (self.copies, self.rejectors):
            log.add(version, self._knows_all, np.full(len(sent), at_s))

    def _leave(
        self,
        who: NDArray[np.bool_],
        reachable: Reachable,
        ready: Instants,
        leaves: Instants,
        takes: Instants,
        until_s: float,
    ) -> None:
        """When the copies of these clients leave, and how long they take over links that are slow then."""
        leaves[who] = reachable.server_next_up(ready[who])
        for client in (client for client in reachable.hit if who[client]):
            leaves[client], cut = reachable.over(client, float(ready[client]), float(takes[client]), until_s)
            takes[client] *= reachable.factor(client, float(leaves[client]))
            self._link_free[client] = max(self._link_free[client], cut)

    def _reaching(self, models: NDArray[np.bool_]) -> Reachable:
        """How clients are reached that are sent all of these models."""
        which = tuple(np.flatnonzero(models).tolist())
        if which not in self._reachable:
            usable = of_all([self._usable[model] for model in which])
            self._reachable[which] = Reachable(usable, self._links, len(self._group))
        return self._reachable[which]

    def counts(self, made: NDArray[np.bool_]) -> NDArray[np.int32] | None:
        """How many of the versions up to each tell clients of each group something new, int32 (V + 1,
        groups); None where all do."""
        knows_all = np.array([group.policy.score == "oracle" for group in self._scenario.fleet])
        tells = (made[:, None] & self._asked).any(axis=2) | knows_all
        tells[0] = False
        return None if tells[1:].all() else np.cumsum(tells, axis=0, dtype=np.int32)

    def mean_of(self, counts: NDArray[np.int32]) -> Instants:
        """Over the clients that follow, float64 (V + 1,)."""
        members = np.bincount(self._group[self.follows], minlength=len(self._scenario.fleet))
        means: Instants = counts @ members / max(1, members.sum())
        return means

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
