"""In what devices of a federation differ: how many steps each does in a round, and whose uploads are wrong.
Pure functions of the scenario; asked by `sim.world.federation`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Scenario
from sim.streams import stream
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


def broken_clients(scenario: Scenario) -> NDArray[np.bool_]:
    """Whose uploads are wrong, bool (clients,): the first of each group's clients in a keyed order."""
    broken = scenario.federation and scenario.federation.broken
    parts = []
    for group in scenario.fleet:
        order = stream(scenario.seed, "broken clients", group.group).permutation(group.clients)
        parts.append(order < (np.floor(broken.share * group.clients + 0.5) if broken else 0))
    return np.concatenate(parts)
