"""The table of energy: what each client's device held, harvested and drawn in the run, to the last nanojoule.
Accounts stand as they were last asked for in the loop; here they are brought up to the horizon."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from sim.engine.batteries import BATTERY_TYPES, Columns
from sim.engine.handlers.energy import charge_to, idled_by
from sim.engine.state import State
from sim.world.energy import JOULE
from sim.world.parameters import Parameters


def accounts_at(parameters: Parameters, state: State, at_s: float) -> Columns:
    """Those of `state.batteries`, none of which was asked for later, as they would stand at an instant; of
    devices on mains idling alone goes on. The state stays as it is."""
    found = {name: state.batteries[name].copy() for name in BATTERY_TYPES}
    group, power = parameters.clients.group, parameters.power
    clients = SimpleNamespace(group=group, device_free=state.device_free.copy())
    w = SimpleNamespace(batteries=SimpleNamespace(**found), power=power, clients=clients)
    for client in range(len(found["at"])):
        if power.capacity[group[client]] > 0:
            charge_to(w, at_s, client)
        else:
            found["idle"][client] = idled_by(w, group[client], at_s)
    return found


def of_energy(parameters: Parameters, accounts: Columns, groups: tuple[str, ...]) -> Columns:
    """The columns of `energy`: a row per client of whose energy something is said. Joules; NaN on mains."""
    power, group = parameters.power, parameters.clients.group
    mine = np.flatnonzero(power.is_metered[group])
    on_battery = power.capacity[group[mine]] > 0

    def joules(name: str) -> np.ndarray:
        return accounts[name][mine] / JOULE

    def held(nanojoules: np.ndarray) -> np.ndarray:
        return np.where(on_battery, nanojoules / JOULE, np.nan)

    return {
        "client_id": mine,
        "group": np.array(groups)[group[mine]],
        "capacity_j": held(power.capacity[group[mine]]),
        "start_j": held(power.start[group[mine]]),
        "harvested_j": joules("harvested"),
        "spilled_j": joules("spilled"),
        "idle_j": joules("idle"),
        "inference_j": joules("inference"),
        "radio_j": joules("radio"),
        "left_j": held(accounts["level"][mine]),
        "empty_at_s": accounts["first_died_at"][mine],
        "times_empty": accounts["deaths"][mine],
        "silent_s": accounts["silent_s"][mine],
    }
