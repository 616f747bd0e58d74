"""From ended requests to rows: the tables `requests` and `attempts` of a run folder.
Everything that can be looked up afterwards is looked up here, once per chunk, for all rows together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sim.engine.events import LOST, REFUSALS
from sim.engine.learning import Learning
from sim.engine.state import Columns, Ended, take
from sim.engine.traces_told import told_by_traces
from sim.results import columns_by_run as by_run
from sim.results.answerers import BY_CLIENT, BY_NONE, BY_PROTOTYPE, BY_SERVER, NO_POWER, Answerers
from sim.results.coded import coded_table
from sim.results.columns import CAUSES, OUTCOMES
from sim.results.last_sends import is_answer, last_sends, left_together, met
from sim.results.whom import Whom
from sim.world.energy import JOULE
from sim.world.parameters import Parameters
from sim.world.world import World


def tabulator(world: World, learning: Learning) -> Tabulator:
    """The one that completes the rows of this run."""
    scenario = world.scenario
    return Tabulator(
        parameters=world.parameters,
        learning=learning,
        groups=tuple(group.group for group in scenario.fleet),
        answerers=Answerers.of(scenario),
        provisional_after_s=np.array(
            [
                np.inf if group.provisional_after_s is None else group.provisional_after_s
                for group in scenario.fleet
            ]
        ),
        told=told_by_traces(scenario),
        whom=Whom.of(world.parameters, len(scenario.server_models), learning.learned.samples.c_e),
        servers=scenario.station_names,
        models=tuple(scenario.server_models),
        horizon_s=scenario.horizon_s,
        detail=scenario.detail,
    )


@dataclass(frozen=True)
class Tabulator:
    """Knows what rows are completed with: the run's rules, models, group names and the price of a send."""

    parameters: Parameters
    learning: Learning
    groups: tuple[str, ...]
    answerers: Answerers
    provisional_after_s: NDArray[np.float64]  # per group: when it is shown provisionally; inf = never
    told: tuple[str, ...]  # what traces say of requests
    whom: Whom
    servers: tuple[str, ...]
    models: tuple[str, ...]
    horizon_s: float
    detail: str = "full"

    @property
    def has_options(self) -> bool:
        """Whether it has to be told whom a request asked, or which model answered."""
        return self.parameters.most_options > 1 or self.parameters.switches

    def requests(self, columns: Columns) -> pa.Table:
        """One row per ended request, sorted by request_id, of what `columns` gives."""
        schema = by_run.requests(
            by_run.QUALITIES[0].name in columns,
            by_run.OWN_COST.name in columns,
            self.told,
            self.has_options,
            by_run.DRAWN.name in columns,
            self.parameters.has_calls,
            bool(self.parameters.computes.any()),
            by_run.NEAREST[0].name in columns,
            by_run.CELL.name in columns,
            self.parameters.swaps,
            self.parameters.most_batched > 0,
            self.parameters.has_sessions,
            by_run.BY_HEAD[0].name in columns,
        )
        return coded_table(columns, by_run.kept(schema, self.detail), self.names)

    def columns(self, ended: Ended) -> Columns:
        """What `requests` tell of each ended request, by request_id, names as codes; (n,)."""
        rows, last = ended.rows, last_sends(ended)
        versions = self._versions(rows, last)
        columns = self._asked(rows) | self._sent(last) | versions
        columns |= self._answered(rows, last, versions["server_version"])
        known = columns["server_version"], self.learning.schedule.of_models
        columns["server_version"] = self.whom.versions(rows["client"], last, *known)
        columns["attempts"] = np.bincount(ended.sends["row"], minlength=len(rows["client"]))
        columns["cost"] = self.whom.cost(rows, ended.sends, self.charged(ended))
        if self.learning.learned.tables.server_quality is not None:
            columns |= self._qualities(rows, self.whom.models(rows["client"], last), columns["answered_by"])
            columns["correct"] = columns["quality"] == 1.0
        if self.whom.sample_c_e is not None:
            columns[by_run.OWN_COST.name] = self.whom.sample_c_e[
                self.whom.models(rows["client"], last), rows["sample"]
            ]
        columns |= {name: rows[name] for name in (*self.told, *by_run.BLOCK_NAMES)}
        if len(self.parameters.cells.every) > 1:
            columns[by_run.CELL.name] = self.parameters.cells.told(rows["client"], rows["arrived"])
        if self.has_options:
            columns |= self.whom.columns(rows["client"], last)
        if self.parameters.power.is_metered.any():
            columns[by_run.DRAWN.name] = rows["drawn"] / JOULE
        if self.parameters.most_batched > 0:
            columns |= left_together(ended)
        return columns | met(self.parameters, last)

    def attempts(self, ended: Ended) -> pa.Table:
        """Every send of the requests that took several, by request and attempt."""
        row, attempt = ended.sends["row"], ended.sends["attempt"]
        several = np.flatnonzero((np.bincount(row, minlength=len(ended.rows["client"])) > 1)[row])
        several = several[np.lexsort((attempt[several], row[several]))]
        sends = take(ended.sends, several)
        columns = self._sent(sends) | met(self.parameters, sends)
        columns |= {
            "request_id": ended.rows["request_id"][sends["row"]],
            "attempt": sends["attempt"],
            "charged": self.charged(ended)[several],
        }
        if self.has_options:
            columns |= self.whom.columns(ended.rows["client"][sends["row"]], sends)
        loop = self.parameters
        schema = by_run.attempts(self.has_options, loop.has_calls, bool(loop.computes.any()), loop.swaps)
        return coded_table(columns, schema, self.names)

    def charged(self, ended: Ended) -> NDArray[np.bool_]:
        """Which sends are charged, bool (sends,): every one, those taken in by the server, or those answered.

        What is swallowed at the door was over when it came. An answer counts if its client had it in time.
        """
        sends = ended.sends
        if self.parameters.charge_on == "send":
            return np.ones(len(sends["row"]), dtype=bool)
        if self.parameters.charge_on == "accept":
            at_door = (
                (sends["cause"] == LOST)
                & np.isnan(sends["started"])
                & (sends["closed_at"] == sends["reached"])
            )
            taken_in: NDArray[np.bool_] = ~at_door & ~np.isin(sends["cause"], REFUSALS)
            return taken_in & (sends["reached"] < self.horizon_s)
        return is_answer(ended)

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """What codes stand for, by column."""
        return {
            "group": self.groups,
            "outcome": OUTCOMES,
            "server_cause": CAUSES,
            "answered_by": self.answerers.names,
            by_run.CELL.name: self.parameters.cells.every,
            "server": self.servers,
            "model": self.models,
        }

    def _asked(self, rows: Columns) -> Columns:
        """What the request was and what the policy made of it."""
        samples, client = self.learning.learned.samples, rows["client"]
        decided, group = rows["server_version"] >= 0, self.parameters.clients.group[client]
        return {
            "request_id": rows["request_id"],
            "client_id": client,
            "group": group,
            "sample_id": samples.sample_id[rows["sample"]],
            "held_out": samples.held_out[rows["sample"]],
            "label": samples.label[rows["sample"]],
            "server_version_at_decision": rows["server_version"],
            "arrived_at_s": rows["arrived"],
            "decided_at_s": np.where(decided, rows["decided"], np.nan),
            "score": np.where(decided, rows["score"], np.nan),
            "threshold": np.where(
                decided, np.where(self._is_coin[group], self._bayes[group], rows["threshold"]), np.nan
            ),
            "propensity": np.where(decided, rows["propensity"], np.nan),
            "deferred": rows["deferred"],
        }

    @property
    def _is_coin(self) -> NDArray[np.bool_]:
        """Per group whether its price tosses a coin by the rule of the Bayes price; rows tell the coin's."""
        return np.array([policy.price.needs_bayes_price for policy in self.parameters.policies])

    @property
    def _bayes(self) -> NDArray[np.float64]:
        return np.array([of_options[0] for of_options in self.parameters.bayes])

    def _versions(self, rows: Columns, last: Columns) -> Columns:
        """Of the server when its work started, or at the decision if it never did; of the client's copy and
        rejector at the decision; -1 before it."""
        plan, client = self.learning.schedule, rows["client"]
        decided, started = rows["server_version"] >= 0, last["started"]
        asked = np.where(np.isnan(started), rows["decided"], started)
        versions = {
            "server_version": plan.server_version(asked),
            "copy_version": plan.copies.of(client, rows["decided"]),
            "rejector_version": plan.rejectors.of(client, rows["decided"]),
        }
        return {name: np.where(decided, version, -1) for name, version in versions.items()}

    def _sent(self, sends: Columns) -> Columns:
        """What became of a send; what lies beyond the horizon did not happen."""
        return {
            "sent_at_s": sends["sent"],
            "reached_at_s": np.where(sends["reached"] < self.horizon_s, sends["reached"], np.nan),
            by_run.COMPUTED.name: np.where(
                sends["computed_at"] < self.horizon_s, sends["computed_at"], np.nan
            ),
            "started_at_s": sends["started"],
            "finished_at_s": sends["finished"],
            "replica": sends["replica"],
            "batch_size": sends["batch_size"],
            "server_cause": sends["cause"],
        }

    def _answered(self, rows: Columns, last: Columns, server_version: NDArray[np.int32]) -> Columns:
        """Who answered, what, when, and what it cost."""
        clients, outcome = self.parameters.clients, rows["outcome"]
        label = self.learning.learned.samples.label[rows["sample"]]
        group = clients.group[rows["client"]]
        by = self.answerers.by(outcome, group)
        nearest = self.answerers.nearest(rows, group, by, self.learning)
        recalled = nearest.get(by_run.NEAREST[0].name, np.int16(-1))
        by = np.where(recalled >= 0, BY_PROTOTYPE, by)
        asked = self.whom.models(rows["client"], last)
        client_label, server_label = self._labels(rows, group, server_version, asked)
        by_head, sent_back = self.answerers.by_head(rows, group, by, server_label, self.learning)
        answer = np.select([by == BY_CLIENT, by == BY_SERVER], [client_label, sent_back], recalled)
        answered_at = np.where(by == BY_NONE, np.nan, rows["completed_at"])
        return (nearest | by_head) | {
            "first_answer_at_s": np.where(
                outcome == NO_POWER, np.nan, self._first_answers(rows, group, answered_at)
            ),
            "answered_at_s": answered_at,
            "outcome": outcome,
            "answered_by": by,
            "client_label": client_label,
            "server_label": server_label,
            "answer_label": answer,
            "correct": answer == label,
        }

    def _qualities(self, rows: Columns, model: NDArray[np.int64], by: NDArray[np.integer]) -> Columns:
        """Of graded answers: of the client's model, of the server's, NaN before a decision; and of the answer
        that was given, 0 where none was."""
        decided, sample, tables = rows["server_version"] >= 0, rows["sample"], self.learning.learned.tables
        group, variant = (
            of[rows["client"]] for of in (self.parameters.clients.group, self.parameters.clients.variant)
        )
        client = np.full(len(sample), np.nan, dtype=np.float32)
        for g, of_group in enumerate(tables.groups):
            mine = decided & (group == g)
            assert of_group.quality is not None
            client[mine] = of_group.quality[variant[mine], sample[mine]]
        assert tables.server_quality is not None
        graded = np.atleast_2d(tables.server_quality)[model, sample]
        server = np.where(decided, graded, np.float32(np.nan))
        given = np.select([by == BY_CLIENT, by == BY_SERVER], [client, server], np.float32(0.0))
        return dict(zip((field.name for field in by_run.QUALITIES), (client, server, given), strict=True))

    def _first_answers(
        self, rows: Columns, group: NDArray[np.int16], answered_at: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """When the client first had an answer: the final one, or a provisional one that was shown before."""
        decided = np.where(rows["server_version"] >= 0, rows["decided"], np.nan)
        shown_at = decided + self.provisional_after_s[group]
        first: NDArray[np.float64] = np.fmin(
            np.where(shown_at < self.horizon_s, shown_at, np.nan), answered_at
        )
        return first

    def _labels(
        self,
        rows: Columns,
        group: NDArray[np.int16],
        server_version: NDArray[np.int32],
        model: NDArray[np.int64],
    ) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """What the client's model says, and the server's says or would have said; -1 before a decision."""
        decided, sample = rows["server_version"] >= 0, rows["sample"]
        variant = self.parameters.clients.variant[rows["client"]]
        client_label = np.full(len(sample), -1, dtype=np.int16)
        for g, tables in enumerate(self.learning.learned.tables.groups):
            mine = decided & (group == g)
            client_label[mine] = tables.client_label[variant[mine], sample[mine]]
        said = self.learning.models.server_label[np.maximum(server_version, 0), model, sample]
        return client_label, np.where(decided, said, np.int16(-1)).astype(np.int16)
