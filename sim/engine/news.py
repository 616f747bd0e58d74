"""What a round of training is told of requests: samples that came to servers, answers that came to clients.
Between `sim.engine.learning`, which holds the rounds, and the notes in `sim.engine.replay_buffer`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.engine.models import Models
from sim.engine.replay_buffer import ReplayBuffer, finished_by
from sim.engine.state import Columns, Ended, State
from sim.messages import Deferred, Feedback, Learned
from sim.results.whom import Whom
from sim.scenario.options import written
from sim.world.release_schedule import Schedule
from sim.world.trained import hosts, trained
from sim.world.world import World

Instants = NDArray[np.float64]


class News:
    """What became known since the last round that asked for it; a round of a model asks for what came to the
    servers that have it. models: what these answered by version."""

    def __init__(self, world: World, learned: Learned, models: Models) -> None:
        scenario, online = world.scenario, world.scenario.training.online
        self._adapts = online is not None and online.adaptive is not None
        self._uses_deferred = online is not None and online.source != "pool"
        self._uses_feedback = scenario.learns_from_answers
        self._label, self._clients, self._models = learned.samples.label, scenario.clients, models
        self._trained = trained(scenario)
        models_of_all, options = (
            len(scenario.server_models),
            max(len(written(scenario, one)) for one in scenario.fleet),
        )
        self._is_several = max(len(scenario.stations), models_of_all, options) > 1
        self._whom = Whom.of(world.parameters, models_of_all, None) if self._is_several else None
        labels = online or scenario.federation
        self.replay_buffer = ReplayBuffer(
            learned.samples.held_out,
            labels.label_delay_s if labels else 0.0,
            self._uses_feedback,
            hosts(scenario)[list(self._trained)] if self._is_several else None,
        )

    def remember(self, plan: Schedule, ended: Ended, before: float, end: float) -> None:
        """Takes notes of requests whose rows leave the state at `end`. before: when what clients were
        answered was used last."""
        if not (self._uses_deferred or self._uses_feedback or self._adapts):
            return
        before_s = dict.fromkeys(self.replay_buffer.instants, before)
        if self._is_several:
            for place, model in enumerate(self._trained):
                before_s[finished_by(place)] = _taught_before(plan, model, end)
        self.replay_buffer.keep(ended.rows, ended.sends, before_s)

    def deferred(self, plan: Schedule, state: State, version: int, now: float) -> Deferred:
        """What the models learn from that the round of a version trains, which begins now."""
        nothing, parts = self.replay_buffer.nothing(), list[tuple[NDArray[np.generic], ...]]()
        parts.append((nothing["client"], nothing["sample"], nothing["finished"], np.empty(0, dtype=np.int16)))
        for place, model in enumerate(self._trained):
            if self._uses_deferred and plan.made[version, model]:
                name = finished_by(place) if self._is_several else "finished"
                found = self._found(name, state, _taught_before(plan, model, now), now)
                of_model = np.full(len(found["client"]), model, dtype=np.int16)
                parts.append((found["client"], found["sample"], found[name], of_model))
        client, sample, finished_at_s, of_model = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Deferred(client, sample, finished_at_s, of_model if plan.made.shape[1] > 1 else None)

    def feedback(self, plan: Schedule, state: State, before: float, now: float) -> Feedback:
        """What clients were answered, and how often they decided, between two rounds."""
        if not self._uses_feedback:
            return Feedback.nothing(self._clients)
        found, decided = (self._found(name, state, before, now) for name in ("answered", "decided"))
        model = self._whom.models(found["client"], found) if self._whom else 0
        _, wrong = self._judged(plan, found["started"], found["sample"], model)
        return Feedback(
            client=found["client"],
            sample=found["sample"],
            server_correct=~wrong,
            propensity=found["propensity"],
            answered_at_s=found["answered"],
            decided=np.bincount(decided["client"], minlength=self._clients),
        )

    def verdicts(
        self, plan: Schedule, state: State, before: float, now: float
    ) -> tuple[NDArray[np.int32], Instants, NDArray[np.bool_]]:
        """Of the one model's answers of which the labels came between two rounds the version that gave each,
        when, and whether it is wrong, (n,) each."""
        found = self._found("finished", state, before, now)
        version, wrong = self._judged(plan, found["began"], found["sample"], 0)
        return version, found["finished"], wrong

    def _judged(
        self,
        plan: Schedule,
        started_s: Instants,
        sample: NDArray[np.int32],
        model: NDArray[np.int64] | int,
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Which version gave each answer, that in force as the work on it began, and whether it is wrong."""
        version = plan.server_version(started_s)
        return version, self._models.server_label[version, model, sample] != self._label[sample]

    def _found(self, name: str, state: State, before: float, now: float) -> Columns:
        return self.replay_buffer.news(name, state.rows, state.sends, before, now)


def _taught_before(plan: Schedule, model: int, at_s: float) -> float:
    """When a model last began a round, before an instant, that made a version of it; -inf if it never did."""
    only = plan.made.shape[1] == 1  # which then makes every version
    starts = plan.starts_at_s if only else plan.starts_at_s[plan.made[1:, model]]
    index = int(np.searchsorted(starts, at_s, side="left"))
    return float(starts[index - 1]) if index else -np.inf
