"""A record of each server: its rules as numbers, and how it stands, see `records.STATION`.
Made for each stretch from the run's rules and the state."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.engine.arrays.columns_of import ticks_remembered
from sim.engine.arrays.laying_out import ranks_of
from sim.engine.arrays.records import STATION
from sim.engine.events import IN_FLIGHTS, WHEN_DOWN
from sim.engine.state import State
from sim.registry.disciplines import DISCIPLINES
from sim.world.parameters import Parameters

SWITCHED = ("width", "period", "arrivals", "arrivals_before")
MEASURED = ("busy_s", "usable_s", "replica_s", "measured_at", "changed_at")


def stations(parameters: Parameters, state: State, begin: float) -> Any:
    """A record of each server, as it stands at `begin`."""
    found = np.zeros(len(parameters.stations), dtype=STATION).view(np.recarray)
    ranks = ranks_of(parameters)
    scale = replica = coming = wanted = fair = door = width = memory = 0
    for number, (rule, now) in enumerate(zip(parameters.stations, state.stations, strict=True)):
        calls, scaling, discipline = rule.serverless, rule.autoscaling, DISCIPLINES[rule.discipline]
        numbers = {
            "number": number,
            "max_batch": rule.max_batch,
            "stages": rule.stages,
            "stage_share": rule.stage_overhead / rule.stages,
            "stage_overhead": rule.stage_overhead,
            "batch_wait_s": rule.batch_wait_s,
            "queue_limit": now.steered.queue_limit,
            "discipline": discipline.code,
            "ranked_by": ranks.index(discipline.rank) if discipline.rank else -1,
            "sheds_worse": discipline.sheds_worse,
            "admission": rule.admission.code,
            "drops_expired": rule.drop_expired,
            "when_down": WHEN_DOWN.index(rule.when_down),
            "in_flight": IN_FLIGHTS.index(rule.in_flight),
            "queue_survives": rule.queue_survives,
            "is_redrawn": rule.service.constant is None,
            "is_serverless": calls is not None,
            "keep_alive_s": float(calls.keep_alive_s) if calls else 0.0,
            "cold_start_s": float(calls.cold_start_s) if calls else 0.0,
            "provisioned": calls.provisioned if calls else 0,
            "swaps": rule.swaps,
            "load_s": rule.load_s or 0.0,
            "memory_bytes": rule.memory_bytes,
            "first_memory": memory,
            "scales": scaling is not None,
            "interval_s": scaling.interval_s if scaling else 1.0,
            "target_utilisation": (scaling.target_utilisation or 0.0) if scaling else 0.0,
            "target_queue": (scaling.target_queue or 0.0) if scaling else 0.0,
            "tolerance": scaling.tolerance if scaling else 0.0,
            "cool_down_s": scaling.cool_down_s if scaling else 0.0,
            "first_wanted": wanted,
            "remembers": ticks_remembered(rule),
            "asked": now.steered.replicas,
            "least": scaling.min if scaling else 0,
            "most": scaling.max if scaling else 0,
            "provisioning_s": float(scaling.provisioning_s) if scaling else 0.0,
            "first_scale": scale,
            "first_replica": replica,
            "room": len(now.batch_of),
            "first_coming": coming,
            "door": door if rule.admission.bucket() else -1,
            "first_client": fair * parameters.clients.size,
            "every_s": 1.0,
            "first_width": width,
            "widths": len(rule.widths),
            "waiting": len(now.waiting),
            "returned": now.returned,
            "inside": len(now.waiting) + sum(map(len, now.batch_of)),
            "coming": len(now.scaling.coming),
            "held": now.held,
            "replicas": now.replicas,
            "taken": now.taken,
            "counted_to": begin,
        }
        numbers |= rule.switch.numbers() if rule.switch else {}
        numbers |= {name: getattr(now.switched, name) for name in SWITCHED}
        for name, value in (numbers | {name: getattr(now.scaling, name) for name in MEASURED}).items():
            found[name][number] = value
        scale, replica = scale + len(rule.service.scale), replica + len(now.batch_of)
        coming, wanted = coming + (scaling.max if scaling else 0), wanted + ticks_remembered(rule)
        width, memory = width + len(rule.widths), memory + len(now.used_at)
        fair, door = fair + discipline.is_by_client, door + (rule.admission.bucket() is not None)
    return found
