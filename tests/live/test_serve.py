"""One small run before Ray Serve, over its handle and over HTTP: outcomes and conservation, no timings."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys

import pytest
from test_models import plan_of
from test_processes import LOOPBACK, OUTAGE, listening, outcomes, played, small

from agents.fleet import open_fleet
from live.playing import Served, live_path
from sim.another_process import python_path
from sim.engine.run import Run
from sim.errors import BadInput
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.windows import EvenWindows
from sim.world.world import World


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("via", ["handle", "http"])
def test_serve_answers_refuses_and_loses_its_replicas(via):
    pytest.importorskip("starlette")  # of the extra; Ray itself is not imported before it is told
    plan = small(outages=(OUTAGE,), when_down="refuse")
    found_listening: list[str] = []
    chunk, path = played(
        plan, Served("serve", via, speed=0.5), look=lambda: found_listening.extend(listening())
    )
    assert found_listening
    assert [one for one in found_listening if not one.startswith(LOOPBACK)] == []
    found = outcomes(chunk)
    assert found["remote"] > 0
    assert found["refused"] > 0
    rows = chunk.requests.to_pandas()
    assert rows[rows.sent_at_s.between(2.0, 2.9)].started_at_s.isna().all()
    assert path.observed()["capacity"][0]["usable_replicas"] == 0
    answered = rows[rows.outcome == "remote"]
    assert answered.batch_size.between(1, 4).all()
    assert set(answered.replica) <= {0, 1}


@pytest.mark.ray
@pytest.mark.slow
def test_replicas_of_serve_answer_by_the_model(tmp_path):
    pytest.importorskip("starlette")
    plan = plan_of(outages=())
    with (
        open_fleet(plan, workers=0, cache=tmp_path) as fleet,
        live_path(plan, Served("serve", service="model"), lambda _word: None, lambda: False) as path,
    ):
        fleet.build()
        fleet.learn()
        learned, world = fleet.decide(), World(plan)
        path.take_model(fleet.server_to_run())
        Run(world, learned, ScenarioArrivals(world), None, path, EvenWindows(plan.horizon_s)).advance()
    answers = path.observed()["answers"]
    assert answers["compared"] > 0
    assert answers["unlike"] == 0


ONE_CLUSTER_AFTER_ANOTHER = """
from agents.backends.before_ray import before_ray
before_ray(None)
import logging
from contextlib import ExitStack
from ray import serve
from agents.backends.cluster import start_private

class Twice:
    async def __call__(self, number):
        return 2 * number

with ExitStack() as at_end:
    start_private(at_end, 1)
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    serve.start(proxy_location="Disabled", logging_config={"log_level": "ERROR"})
    twice = serve.deployment(Twice, name="twice", ray_actor_options={"num_cpus": 0})
    print(serve.run(twice.bind(), name="twice", route_prefix="/").remote(21).result())
with ExitStack() as at_end:
    start_private(at_end, 1)
    print("another")
"""


@pytest.mark.ray
@pytest.mark.slow
def test_after_serve_another_cluster_is_started_without_a_word_of_grpc(tmp_path):
    """Serve leaves threads in gRPC, whose preparation of forks then complains, and may abort the child."""
    pytest.importorskip("starlette")
    named = {name: value for name, value in os.environ.items() if not name.startswith(("GRPC_", "RAY_"))}
    done = subprocess.run(
        [sys.executable, "-c", ONE_CLUSTER_AFTER_ANOTHER],
        cwd=tmp_path,
        env=named | {"PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("42\nanother\n", 0), done.stderr
    assert "fork" not in done.stderr


def test_without_the_extra_one_line_says_what_to_install(monkeypatch):
    asked = builtins.__import__

    def without(name, *rest):
        if name == "live.serve":
            raise ImportError("No module named 'aiohttp'")
        return asked(name, *rest)

    monkeypatch.delitem(sys.modules, "live.serve", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with (
        pytest.raises(BadInput, match=r"needs Ray Serve .*: pip install 'l2h-fleet\[live\]'"),
        live_path(small(), Served("serve"), lambda _word: None, lambda: False),
    ):
        pass
