"""A server's model as a folder: whoever asks it gets what the run's tables say."""

from __future__ import annotations

import numpy as np
import pytest
from small_fleets import group, scenario

from agents.fleet import open_fleet
from agents.server.runnable import runnable


@pytest.mark.parametrize("asked", [scenario(), scenario(group(), server="small_cnn")])
def test_it_answers_as_the_tables_say_in_batches_of_any_size(asked, cache, tmp_path):
    with open_fleet(asked, workers=0, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        fleet.server_to_run().write(tmp_path)
        said = fleet.decide().tables.server_label
    answer = runnable(tmp_path)
    places = np.random.default_rng(1).permutation(len(said))[:200]
    for size in (1, 4, 39):
        found = [label for start in range(0, 200, size) for label in answer(places[start : start + size])]
        assert found == said[places].tolist()
