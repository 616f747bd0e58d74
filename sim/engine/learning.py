"""Learning in virtual time: each training round is told what is known at its instant, and nothing more.
Between `sim.engine.window`, which stops at the rounds, and the learners, who sit behind `sim.ports`."""

from __future__ import annotations

from dataclasses import astuple
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.hand_over import HandOver
from sim.engine.heads import HeadTables
from sim.engine.models import Models
from sim.engine.news import News
from sim.engine.state import Columns, Ended, State
from sim.errors import RunFailed
from sim.messages import HandedOver, Learned, Merge, TrainingRound, hash_of
from sim.policy.calibration import Curve, curve
from sim.ports import OnlineLearner
from sim.scenario.schema.training import Online
from sim.world.adaptive_gaps import Evidence, next_gap_s
from sim.world.traffic import Traffic
from sim.world.world import World

Instants = NDArray[np.float64]
OTHER_TABLES = (
    "the models answer otherwise than when the checkpoint was written, as on another type of processor; "
    "go on where the run began, or start over with --force"
)


class Learning:
    """What has been learned so far: the tables of every version, and which is in force for whom and when.

    learner: needed iff some round makes a version. The position in the schedule follows from time, so only
    `models`, the notes of requests, the gaps of the schedule and what tells of a drift are state.
    """

    def __init__(self, world: World, learned: Learned, learner: OnlineLearner | None = None) -> None:
        scenario, self.learned = world.scenario, learned
        self._scenario, self._world = scenario, world
        self.traffic = Traffic(scenario.seed, world.population, learned.traffic, learned.samples.base_id)
        self.schedule = world.schedule
        self.work = np.array([model.work for model in scenario.server_models.values()])
        self.models = Models(learned.tables, len(self.schedule.in_force_at_s))
        online = scenario.training.online
        self._drift = Evidence()
        self._adaptive = online if online is not None and online.adaptive is not None else None
        self._news = News(world, learned, self.models)
        self._hand_over = HandOver(world, learned.samples.label)
        self._population = world.population
        self._bounds = list(pairwise([*self._population.first, scenario.clients]))
        self._curves: dict[tuple[int, int], Curve] = {}
        self._learner = learner
        self._rows: dict[str, list[object]] = {}
        self._rows_of_prototypes: dict[str, list[object]] = {}
        self._rows_of_heads: dict[str, list[object]] = {}
        self._rows_of_hand_over: dict[str, list[object]] = {}
        self.heads = HeadTables()
        if len(self.schedule.starts_at_s) and learner is None:
            raise ValueError("training during the run needs a learner")

    @property
    def samples(self) -> int:
        """How many samples the sample axis has."""
        return len(self.learned.samples.label)

    def until(self, begin: float, end: float) -> float:
        """Where the first round begins within (begin, end) that makes a version; `end` without one."""
        starts = self.schedule.starts_at_s
        return float(min(starts[np.searchsorted(starts, begin, side="right") :].min(initial=np.inf), end))

    def attend(self, state: State, now: float) -> None:
        """Holds the round that begins now, if one does. state: as the loop left it at this instant."""
        starts = self.schedule.starts_at_s
        index = int(np.searchsorted(starts, now, side="left"))
        if index == len(starts) or starts[index] != now or self._learner is None:
            return
        version, before = index + 1, self._news_before(now)
        if self._adaptive is not None:
            self._decide_gap(self._adaptive, state, before, now)
        planned = self.schedule.updates[index] if self.schedule.updates else None
        given: dict[str, list[object]] = {}
        if planned is not None and planned.merges:
            held = planned.of
            merge = Merge(held.number, held.uploads, held.receives, held.broken, held.clusters)
            update = self._learner.merge(merge)
        else:
            feedback, handed = self._news.feedback(self.schedule, state, before, now), HandedOver.nothing()
            if planned is not None:
                handed, given = self._hand_over.hold(planned.of, feedback)
            training_round = TrainingRound(
                version=version if planned is None else planned.of.number,
                at_s=now,
                in_force_at_s=float(self.schedule.learned_at_s[version])
                if planned is None
                else planned.in_force_at_s,
                deferred=self._news.deferred(self.schedule, state, version, now),
                feedback=feedback,
                trains=self.schedule.rejectors.clients_of(version) if planned is None else planned.of.trains,
                makes=self._makes(version)
                if planned is None and len(self.models.server_label[0]) > 1
                else (),
                handed=handed,
                steps=np.empty(0, dtype=np.int32) if planned is None else planned.of.steps,
            )
            teach = self._learner.train_round if planned is None else self._learner.train_rejectors
            update = teach(training_round)
        self.models.add(version, update)
        self.heads.add(version, update.heads)
        self.heads.forget(self.schedule.heads, state.rows["completed_at"], now)
        for group, (first, stop) in enumerate(self._bounds):
            self.models.keep(group, self.schedule.rejectors.last_use_s(first, stop), now)
        self._curves = {key: known for key, known in self._curves.items() if self.models.has(*key)}
        owners = zip(update.learning["stage"], update.learning["group"], strict=True)
        groups = ["" if stage == "server" else group for stage, group in owners]
        rows = update.learning | {"staleness": self._behind(version, groups)}
        told = (self._rows, rows), (self._rows_of_prototypes, update.prototypes)
        for known, more in (*told, (self._rows_of_heads, update.head_rows), (self._rows_of_hand_over, given)):
            for name, values in more.items():
                known.setdefault(name, []).extend(values)

    def remember(self, ended: Ended, end: float) -> None:
        """Takes notes of requests whose rows leave the state at `end`."""
        self._news.remember(self.schedule, ended, self._news_before(end), end)

    def _news_before(self, at_s: float) -> float:
        """When what requests taught was used last before an instant; -inf if never."""
        used = self.schedule.news_at_s
        index = int(np.searchsorted(used, at_s, side="left"))
        return float(used[index - 1]) if index else -np.inf

    def _makes(self, version: int) -> tuple[tuple[int, int], ...]:
        """Which models the round of a version trains, and what version of their own that makes."""
        made, own = self.schedule.made[version], self.schedule.of_models[version]
        return tuple((model, int(own[model])) for model in np.flatnonzero(made).tolist())

    def take_rows(self) -> dict[str, list[object]]:
        """The rows of the table `learning` that rounds gave since the last time."""
        rows, self._rows = self._rows, {}
        return rows

    def take_rows_of_prototypes(self) -> dict[str, list[object]]:
        """The same of the table `prototypes`."""
        rows, self._rows_of_prototypes = self._rows_of_prototypes, {}
        return rows

    def take_rows_of_heads(self) -> dict[str, list[object]]:
        """The same of the table `heads`."""
        rows, self._rows_of_heads = self._rows_of_heads, {}
        return rows

    def said_by_heads(
        self, client: NDArray[np.int32], sample: NDArray[np.int32], at_s: Instants, server: NDArray[np.int16]
    ) -> Columns:
        """What clients answer from features that come back at an instant, int16 (n,), and the version of the
        heads that they then have; version 0 says what the server does, (n,)."""
        assert self.schedule.heads is not None
        version, group = self.schedule.heads.of(client, at_s), self._population.group[client]
        member = client - np.array([first for first, _ in self._bounds], dtype=np.int32)[group]
        return {"label": self.heads.said(group, member, version, sample, server), "version": version}

    def take_rows_of_hand_over(self) -> dict[str, list[object]]:
        """The same of the table `hand_over`."""
        rows, self._rows_of_hand_over = self._rows_of_hand_over, {}
        return rows

    def nearest(self, client: NDArray[np.int32], sample: NDArray[np.int32], at_s: Instants) -> Columns:
        """What clients answer by the nearest of the prototypes that they have at an instant, int16 (n,), -1
        where they have none; and how long ago these were merged (s), NaN likewise."""
        version = self.schedule.copies.of(client, at_s)
        of_client = self._population.group[client], self._population.variant[client]
        label = self.models.nearest(*of_client, version, sample)
        age = at_s - self.schedule.copied_at_s[version]
        return {"label": label, "age": np.where(label >= 0, age, np.nan)}

    def table_rows(self, g: int, client: NDArray[np.int32]) -> NDArray[np.int32]:
        """Where a group's table of scores has its clients: a row each, or one per variant, int32 (n,)."""
        table, (first, stop) = self.learned.tables.groups[g].score, self._bounds[g]
        personal = table is not None and len(table) == stop - first
        return client - np.int32(first) if personal else self._population.variant[client]

    def curve(self, g: int, version: int) -> Curve:
        """A group's calibration scores by a version of its rejectors: of the clients that have that version
        at some time. It follows from the tables, so it is not state, and is made when first asked for."""
        if (g, version) not in self._curves:
            first, stop = self._bounds[g]
            client = self.schedule.rejectors.clients_of(version)
            client = client[(first <= client) & (client < stop)]
            self._curves[g, version] = curve(
                self.models.table(g, version),
                self.table_rows(g, client),
                self.learned.calibration[g],
                client.astype(np.int64) - first,
            )
        return self._curves[g, version]

    def kept(self) -> dict[str, Any]:
        """What the chunks to come depend on; what learners keep, only if they have learned anything."""
        tables, learner = self.learned.tables, self._learner
        models, notes = self.models.kept(tables), self._news.replay_buffer.kept
        told: dict[str, Any] = {"tables": hash_of(tables), "models": models, "notes": notes}
        told["gaps_s"] = np.array(self.schedule.gaps_s, dtype=np.float64)
        told["hand_over"] = self._hand_over.kept()
        told["drift"] = np.array(astuple(self._drift), dtype=np.float64)
        told["heads"] = self.heads.kept()
        learns = learner is not None and self.models.newest > 0
        return {"learning": told} | ({"learners": learner.state()} if learner and learns else {})

    def restore(self, kept: dict[str, Any]) -> None:
        """Goes on where `kept` was taken. Raises RunFailed if the tables before t = 0 were others then."""
        told, tables = kept["learning"], self.learned.tables
        if told["tables"] != hash_of(tables):
            raise RunFailed("run", OTHER_TABLES)
        self.models.restore(tables, told["models"])
        self.heads.restore(told["heads"])
        self._curves = {}
        self._news.replay_buffer.kept = told["notes"]
        self._hand_over.restore(told["hand_over"])
        if self._adaptive is not None:
            self.schedule = self._world.schedule_after(told["gaps_s"].tolist())
            self._drift = Evidence(*told["drift"].tolist())
        if "learners" in kept and self._learner is not None:
            self._learner.restore(kept["learners"])

    def staleness(self, at_s: Instants) -> Columns:
        """Columns of the time line, just before each instant: the server's version, and by how many versions
        copies and rejectors lie behind the newest, averaged over the clients that follow it (0 if nobody
        does).
        """
        plan = self.schedule
        newest = np.searchsorted(plan.in_force_at_s, at_s, side="left") - 1
        followers = max(1, int(plan.follows.sum()))
        behind = []
        for held, there_s in zip(plan.counted, (plan.copied_at_s, plan.learned_at_s), strict=True):
            made = np.searchsorted(there_s, at_s, side="left") - 1
            heard = made if plan.heard is None else plan.heard[made]
            has = held.total_before(at_s) / followers
            behind.append(np.where(plan.follows.any(), heard - has, 0.0))
        return {"server_version": newest, "copy_staleness": behind[0], "rejector_staleness": behind[1]}

    def _behind(self, version: int, groups: list[object]) -> list[object]:
        """By how many steps of the server the copies of each of these groups lie behind while `version` is
        the newest, mean over that time and the group's clients; NaN for "", the server itself. Where clients
        learn together by how many merged versions as `version` is begun, mean over the clients."""
        in_force, online = self.schedule.in_force_at_s, self._scenario.training.online
        if online is None:
            return [self._merges_behind(version, str(name)) for name in groups]
        until = np.append(in_force, self._scenario.horizon_s)[version + 1]
        counted, heard = self.schedule.counted[0], self.schedule.counts
        held = {
            group.group: (version if heard is None else int(heard[version, place]))
            - counted.mean(*bounds, float(in_force[version]), float(until))
            for place, (group, bounds) in enumerate(zip(self._scenario.fleet, self._bounds, strict=True))
        }
        return [online.steps * held[str(name)] if name else np.nan for name in groups]

    def _merges_behind(self, version: int, name: str) -> float:
        place = [group.group for group in self._scenario.fleet].index(name)
        first, stop = self._bounds[place]
        at_s = float(self.schedule.starts_at_s[version - 1])
        made = int(np.searchsorted(self.schedule.copied_at_s, at_s, side="right")) - 1
        held = self.schedule.copies.of(np.arange(first, stop, dtype=np.int32), np.full(stop - first, at_s))
        return made - float(held.mean())

    def _decide_gap(self, online: Online, state: State, before: float, now: float) -> None:
        """Lays down the next round, by how the answers got worse of which the labels came since the last
        round, each among those of the version that gave it."""
        version, finished, wrong = self._news.verdicts(self.schedule, state, before, now)
        assert online.adaptive is not None
        self._drift = self._drift.then(online.adaptive.memory, version, finished, wrong.astype(np.float64))
        gaps_s = *self.schedule.gaps_s, next_gap_s(online, self._drift)
        self.schedule = self._world.schedule_after(gaps_s)
