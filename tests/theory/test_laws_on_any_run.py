"""Whatever a scenario holds, the laws say something finite about it or nothing: they never break a report."""

from __future__ import annotations

import json
import tempfile
from math import inf
from pathlib import Path

import numpy as np
import pytest
from hypothesis import event, given
from strategies import worlds
from tried import tried
from worlds import MadeUpLearner, made_up

import analysis
from analysis.figures.predictions import predictions as draw
from analysis.metrics.summary import json_safe
from analysis.run_folder.traffic import traffic_of
from analysis.theory import LAWS, predicted
from analysis.theory.prediction import reported
from sim.results.learned_files import write_learned
from sim.scenario import write
from sim.simulation import simulate
from sim.world.world import World


@pytest.mark.slow
@tried(15)
@given(worlds())
def test_no_law_fails_on_a_random_world(world):
    scenario = world[0].model_copy(update={"horizon_s": 100.0})  # long enough for the laws to speak
    learned = made_up(scenario)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(World(scenario), learned, folder, learner=MadeUpLearner(scenario, learned))
        write_learned(World(scenario), learned, learned.client_hashes, folder)
        (folder / "scenario.yaml").write_text(write(scenario))
        traffic = traffic_of(analysis.load_run(folder))
        simulated = predicted(traffic)
    event(f"laws that apply: {', '.join(simulated) or 'none'}")  # shown by --hypothesis-show-statistics
    for one in (one for those in simulated.values() for one in those):
        assert not np.isnan(one.predicted)
        assert 0 <= one.margin < inf
        assert one.predicted >= 0
        if one.unit == "share":
            assert one.predicted <= 1 + 1e-9
    summary = json_safe([reported(name, LAWS[name], those) for name, those in simulated.items()])
    json.dumps(summary, allow_nan=False)
    if summary:
        draw(summary, traffic.outages)
