"""How many steps each client's device does in a round of a federation, where devices are not equally fast.
A pure function of the scenario; asked by `sim.world.federation`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Scenario
from sim.world.delays import Delay

MOST_TIMES = 10  # the steps that the scenario says


def device_steps(scenario: Scenario, clients: int) -> NDArray[np.int32] | None:
    """Steps of each client, int32 (clients,): as many as fit into steps * step_s, at most `MOST_TIMES` times
    as many as the scenario says, maybe none; None where all do these."""
    federation = scenario.federation
    if federation is None or federation.unequal is None:
        return None
    each_s = Delay(scenario.seed, "step of a device", federation.unequal.step).many(np.arange(clients))
    fit = np.floor(federation.steps * federation.step_s / each_s)
    return np.minimum(fit, MOST_TIMES * federation.steps).astype(np.int32)
