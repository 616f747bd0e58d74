"""Several models of the servers as one learner: each is asked in turn, what they say laid side by side.
Takes the place of `agents.server.model.ServerModel` where a scenario has several, or has them specialise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.federation.ensemble import Teacher
from agents.models.snapshots import State
from agents.plan import Plan
from agents.server.given import GivenServer
from agents.server.imitating import Imitation
from agents.server.model import ServerModel, ServerUpdate, Trajectory
from agents.server.nested import Nested, Whole
from agents.server.specialising import Wrong, sent_to
from sim.messages import TrainingRound


class ServerModels:
    """The models of all servers, in order; the first axis of what they say where there are several."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._models = _models(plan)
        places = range(len(self._models))  # who is part of another follows it
        self._order = sorted(places, key=lambda place: isinstance(self._models[place], Nested))
        self._wrong: Wrong | None = None

    def specialise(self, wrong: Wrong) -> None:
        """From the second epoch on each model's samples weigh by what would be sent to it."""
        self._wrong = wrong

    def imitate(self, teacher: Teacher) -> dict[str, Imitation]:
        """As `ServerModel.imitate`, of all that are trained."""
        trained = (model for model in self._models if isinstance(model, ServerModel))
        return {name: one for model in trained for name, one in model.imitate(teacher).items()}

    def pretrain(self, epochs: int | None = None) -> Trajectory | None:
        """As `ServerModel.pretrain`, all models epoch by epoch. Raises RunFailed if a loss diverges.

        correct: bool (models, intervals, steps, views, batch); loss, accuracy: (models, epochs), NaN of
        models that are not trained.
        """
        made: list[Trajectory | None] = []
        for _ in range(self._plan.scenario.training.pretrain.epochs if epochs is None else epochs):
            of_each = {place: self._models[place].pretrain(1) for place in self._order}
            made = [of_each[place] for place in sorted(of_each)]
            found = [one for one in made if one is not None]
            if len(found) == len(made):
                return self._side_by_side(found)
            if self._wrong is not None:
                self._weigh(self._wrong)
        return None

    def train_round(self, training_round: TrainingRound) -> ServerUpdate:
        """A round of those models that it trains; then what all of them say.

        label: int16 (models, n); correct: by view, bool (models, steps, batch); loss, accuracy: (models,),
        NaN of models that took no step. Raises RunFailed if a loss diverges.
        """
        makes = dict(training_round.makes)
        made = [
            model.train_round(training_round) if place in makes else model.as_it_is(training_round)
            for place, model in enumerate(self._models)
        ]
        views = made[0].correct
        return ServerUpdate(
            _stacked([one.label for one in made]),
            {view: _stacked([one.correct[view] for one in made]) for view in views},
            np.array([one.loss for one in made]),
            np.array([one.accuracy for one in made]),
        )

    def labels(self) -> NDArray[np.int16]:
        """The models' answers on the sample axis, int16 (models, n)."""
        return _stacked([model.labels() for model in self._models])

    def confidence(self) -> NDArray[np.float32]:
        """As `ServerModel.confidence`, float32 (models, n)."""
        return _stacked([model.confidence() for model in self._models])

    def state(self) -> State:
        """What the rounds to come depend on besides their messages, of each model."""
        return {"models": [model.state() for model in self._models]}

    def restore(self, state: State) -> None:
        """Goes on where `state` was taken, of the same plan."""
        for model, own in zip(self._models, state["models"], strict=True):
            model.restore(own)

    def _weigh(self, wrong: Wrong) -> None:
        trained = [model for model in self._models if isinstance(model, ServerModel)]
        for model, sent in zip(trained, sent_to(self._plan, trained, wrong), strict=True):
            model.sent = sent

    def _side_by_side(self, trajectories: list[Trajectory]) -> Trajectory:
        epochs = self._plan.scenario.training.pretrain.epochs
        curves = ((one.loss, one.accuracy) for one in trajectories)
        nothing = np.full(epochs, np.nan)
        losses, accuracies = zip(
            *((loss, right) if len(loss) else (nothing, nothing) for loss, right in curves), strict=True
        )
        correct = _stacked([one.correct for one in trajectories])
        return Trajectory(correct, _stacked(losses), _stacked(accuracies))


def _models(plan: Plan) -> list[ServerModel | GivenServer]:
    """Each model by its place; those that are parts of another with that one's weights."""
    names = list(plan.scenario.server_models)
    inside: dict[str, list[int]] = {}
    for place, one in enumerate(plan.scenario.server_models.values()):
        if one.nested_in is not None:
            inside.setdefault(one.nested_in, []).append(place)
    found: dict[int, ServerModel | GivenServer] = {}
    for place, name in enumerate(names):
        if plan.is_given(place):
            found[place] = GivenServer(plan, place)
        elif name in inside:
            whole = Whole(plan, place, inside[name])
            found |= {place: whole} | dict(zip(inside[name], whole.nested, strict=True))
        elif plan.scenario.server_models[name].nested_in is None:
            found[place] = ServerModel(plan, place)
    return [found[place] for place in range(len(names))]


def _stacked(of_models: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """A model's own array where there is one, else (models, ...)."""
    return of_models[0] if len(of_models) == 1 else np.stack(of_models)


def server_kind(plan: Plan) -> type[ServerModel] | type[GivenServer] | type[ServerModels]:
    """What hosts the models of the servers of a plan."""
    if len(plan.scenario.server_models) > 1 or plan.scenario.training.specialise:
        return ServerModels
    return GivenServer if plan.has_given_server else ServerModel
