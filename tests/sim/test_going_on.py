"""A run that goes on from what was kept after each window, with all that servers and clients remember."""

from __future__ import annotations

from math import isnan

from worlds import MadeUpLearner, group_of, made_up, poisson, scenario_of

from sim.engine.choice import EnginePath
from sim.engine.run import Run
from sim.results.packing import pack, unpack
from sim.world.windows import EvenWindows
from sim.world.world import World

FLEET = (
    group_of(
        "impatient",
        clients=3,
        timeout_s=6.0,
        priority=1,
        breaker={"ratio": 0.5, "window": 3, "cooldown_s": 2.0, "probes": 2},
        retry={"attempts": 3, "allowance_by": "fleet"},
    ),
    group_of("large", clients=3, service_factor=2.0),
)
OUTAGE = {
    "when": {"kind": "intervals", "at": ((1.5, 9.0),)},
    "target": {"kind": "replicas", "count": 1},
}
SCALING = {"target_queue": 2.0, "interval_s": 2.0, "provisioning_s": 1.0, "min": 0, "max": 4}
CALM = {"stabilise_s": 6.0, "cool_down_s": 3.0, "tolerance": 0.1}
SERVER = {
    "replicas": 2,
    "queue_limit": 2,
    "discipline": "priority",
    "in_flight": "resume",
    "outages": (OUTAGE,),
    "service": {"kind": "affine", "base_s": 1.0},
    "autoscaling": SCALING | CALM,
}


def test_a_run_goes_on_with_batches_that_stand_still_windows_of_breakers_and_calm_autoscalers():
    scenario = scenario_of(horizon_s=30.0, fleet=FLEET, server=SERVER)
    learned = made_up(scenario)

    def begun() -> Run:
        learner, path = MadeUpLearner(scenario, learned), EnginePath("simpy", "")
        return Run(World(scenario), learned, poisson(scenario, 60.0), learner, path, EvenWindows(1.5))

    whole, cut, held = begun(), begun(), 0
    while not whole.is_over:
        one, other = whole.advance(), cut.advance()
        for mine, told in ((one.requests, other.requests), (one.attempts, other.attempts)):
            assert mine.to_pandas().equals(told.to_pandas())
        for name, column in one.seconds.items():
            assert column.tolist() == other.seconds[name].tolist()
        kept = unpack(pack(cut.kept()))
        held += sum(not isnan(left) for left in kept["loop"]["state"]["stations"][0]["left"])
        cut = begun()
        cut.restore(kept)
    assert held > 0, "no batch stood still as a window ended"
