"""What the loop knows of each client's energy, as data: part of `sim.engine.state`.
Moved by `sim.engine.handlers.energy`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.world.energy import Power

Columns = dict[str, NDArray[Any]]

# Per client, where something is said of energy, in nanojoules as things stood at `at`: what its battery holds
# (0 on mains), and since t = 0 what it harvested, what of that found no room, what was drawn by the device as
# it idled, by inference and by the radio, and what these asked for in vain as it ran empty. piece: of the
# harvest, counted from t = 0; died_at: when it last ran empty (-inf: never), first_died_at: and first (NaN);
# deaths: how often; silent_s: for how long it was silent; listens_until: when the radio's tail ends.
BATTERY_TYPES = {
    "at": "f8",
    "level": "i8",
    "harvested": "i8",
    "spilled": "i8",
    "idle": "i8",
    "inference": "i8",
    "radio": "i8",
    "missing": "i8",
    "piece": "i8",
    "is_silent": "?",
    "died_at": "f8",
    "first_died_at": "f8",
    "deaths": "i8",
    "silent_s": "f8",
    "listens_until": "f8",
}


def batteries_at_start(power: Power, group: NDArray[np.int16]) -> Columns:
    """Nobody has drawn anything. group: of each client. No rows where nothing is said of energy."""
    n = len(group) if power.is_metered.any() else 0
    found = {name: np.zeros(n, dtype=kind) for name, kind in BATTERY_TYPES.items()}
    if n:
        found["level"] = power.start[group]
        found["died_at"][:], found["first_died_at"][:], found["listens_until"][:] = -np.inf, np.nan, -np.inf
    return found


def draw_inference(
    power: Power, batteries: Columns, group: NDArray[np.int16], later: NDArray[np.bool_], rows: Columns
) -> None:
    """What inference takes of requests that have come to their devices.

    group: of each request; later: whether it comes to its device in the loop, which takes it then.
    """
    if len(batteries["at"]) and len(rows["client"]):
        rows["drawn"][:] = np.where(later, 0, power.inference[group])
        np.add.at(batteries["inference"], rows["client"], rows["drawn"])
