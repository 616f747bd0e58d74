"""Options as learning sees them: which of the servers' models a group may ask, and what a charged send costs.
Without torch. Of arrays over several models, (models, n), the first axis is in the scenario's order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.evaluation.cost_model import CostModel, cost_model_of
from sim.messages import Samples
from sim.scenario import Scenario
from sim.scenario.options import model_of, shares_of, written


@dataclass(frozen=True)
class Option:
    """model: its place among the servers' models; shares: of its answers that each of them is expected to
    give, where its server chooses, None: one gives all. c_e: its own price of a charged send; None: that of a
    setting, or of each sample."""

    name: str
    model: int
    c_e: float | None
    shares: tuple[float, ...] | None = None

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """What an array over models says of this one's, (n,), on average where several answer; of one model
        it is (n,) itself."""
        if array.ndim == 1:
            return array
        found: NDArray[Any] = array[self.model]
        if self.shares is not None:
            found = np.tensordot(np.array(self.shares, dtype=np.float32), array.astype(np.float32), 1)
        return found

    def c_e_of(self, samples: Samples, positions: NDArray[np.integer]) -> NDArray[np.float64] | None:
        """What a charged send of samples costs, float64 (positions,); None where a setting says it."""
        if self.c_e is not None:
            return np.full(len(positions), self.c_e)
        return None if samples.c_e is None else self.of(samples.c_e)[positions]


def options_of(scenario: Scenario, place: int) -> tuple[Option, ...]:
    """Those of a group, in order."""
    return tuple(
        Option(one.option, model_of(scenario, one), one.c_e, shares_of(scenario, one))
        for one in written(scenario, scenario.fleet[place])
    )


def costs_for(scenario: Scenario, place: int, c_e: float, c_1: float) -> CostModel:
    """The costs of a setting for a group: where it has one option with a price of its own, at that price."""
    options = options_of(scenario, place)
    own = options[0].c_e if len(options) == 1 else None
    return cost_model_of(scenario, c_e if own is None else own, c_1)


def surcharges(scenario: Scenario, place: int, cost_model: CostModel) -> NDArray[np.float64]:
    """By how much the gain of each option of a group must exceed that of one at the costs' own c_e, float64
    (options,); the run subtracts the same. 0 where the group has one option.
    """
    options = options_of(scenario, place)
    if len(options) == 1:
        return np.zeros(1)
    prices = [cost_model.c_e if one.c_e is None else one.c_e for one in options]
    return cost_model.beyond(np.array(prices))


def most_surcharge(scenario: Scenario, place: int, cost_model: CostModel) -> float:
    """The largest of a group's surcharges in size."""
    return float(np.abs(surcharges(scenario, place, cost_model)).max())
