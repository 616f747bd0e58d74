"""A fleet from its first frozen client to the third round of a run: all that it answers."""

from __future__ import annotations

from pathlib import Path

from fingerprints import fingerprint
from small_fleets import group
from test_online import learning_scenario, round_of

from agents.fleet import open_fleet

LEARNS_ON = learning_scenario(group(clients=66), epochs=2, source="mix")
ROUNDS = [round_of(n, met=[3 + n], trains=[0, 60 + n], in_force_at_s=10.0 * n) for n in (1, 2, 3)]


def whole_life(cache: Path, workers: int) -> list[str]:
    """What a fleet answers before and during the run; its state is asked for after the first round."""
    with open_fleet(LEARNS_ON, workers=workers, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        told = [fleet.decide(), fleet.train_round(ROUNDS[0])]
        fleet.state()
        return [fingerprint(one) for one in [*told, *map(fleet.train_round, ROUNDS[1:])]]
