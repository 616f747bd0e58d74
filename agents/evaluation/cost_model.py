"""The cost model of a decision: the costs of both sides, with the server's availability where it counts.
Used by the losses' weights, by prices and by every risk, so that all three speak of the same costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Scenario


@dataclass(frozen=True)
class CostModel:
    """c_e: price of a charged send; c_1: weight of a wrong server answer; availability: P(answered in time |
    sent), None where sends are taken as answered; charge_on: what is charged.
    """

    c_e: float
    c_1: float
    availability: float | None = None
    charge_on: Literal["send", "accept", "answer"] = "send"

    @property
    def charged(self) -> float:
        """P(charged | sent): a send always is; of a send that goes unanswered neither acceptance nor answer
        is, since what keeps it from being answered is taken to be a server that does not work."""
        return 1.0 if self.availability is None or self.charge_on == "send" else self.availability

    @property
    def bayes_price(self) -> float:
        """The price of a gain at which the Bayes rule sends: c_e * P(charged) / a."""
        if self.availability is None:
            return self.c_e
        return self.c_e * self.charged / self.availability if self.availability else math.inf

    def cost_remote(self, client_correct: Any, server_correct: Any, c_e: Any = None) -> Any:
        """c_e*P(charged) + a*c_1*1[e!=y] + (1-a)*1[m!=y], of the inputs' shape: arrays or tensors of 0 and 1,
        or of grades between. c_e: of each sample, where they differ.

        An unanswered send falls back to the client's answer. Without availability: c_e + c_1*1[e!=y].
        """
        price = self.c_e if c_e is None else c_e
        if self.availability is None:
            return price + self.c_1 * (1.0 - server_correct)
        answered, unanswered = self.availability, 1.0 - self.availability
        wrong = answered * self.c_1 * (1.0 - server_correct) + unanswered * (1.0 - client_correct)
        return price * self.charged + wrong

    def beyond(self, c_e: NDArray[np.float64]) -> NDArray[np.float64]:
        """By how much the Bayes price of samples with a c_e of their own lies above `bayes_price`; (n,)."""
        a = 1.0 if self.availability is None else self.availability
        more: NDArray[np.float64] = (c_e - self.c_e) * (self.charged / a if a else 0.0)
        return more


def cost_model_of(scenario: Scenario, c_e: float, c_1: float) -> CostModel:
    """The costs under a scenario's availability, with these costs."""
    availability = scenario.training.availability
    if isinstance(availability, str):
        raise ValueError("an observed availability must be a number before anything is learned")
    return CostModel(c_e, c_1, availability, scenario.costs.charge_on)
