"""The fleet as an environment: Gymnasium's checker, a fixed price's bytes, both clocks, steering."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from here import forget_what_was_brought

pytest.importorskip("gymnasium")
import gymnasium
from gymnasium.utils.env_checker import check_env

import l2h_fleet
from l2h_fleet.gym import OF_GROUP, OF_SERVER, FleetEnv, _risk, make_env, make_vec_env

pytestmark = pytest.mark.usefixtures("plain_pictures")

TINY: dict[str, Any] = {
    "name": "tiny",
    "horizon_s": 60,
    "training": {"pretrain": {"epochs": 1}},
    "fleet": [
        {
            "group": "devices",
            "clients": 8,
            "timeout_s": 0.5,
            "arrivals": {"process": {"kind": "poisson", "rate_hz": 2.0}},
            "policy": {"score": "confidence", "price": {"kind": "bounded_rate", "rate": 0.4}},
        }
    ],
    "server": {
        "service": {"kind": "affine", "base_s": 0.2},
        "queue_limit": 6,
        "autoscaling": {"min": 1, "max": 4, "interval_s": 5, "provisioning_s": 0, "target_utilisation": 0.5},
        "outages": [{"when": {"kind": "intervals", "at": [[20, 30]]}}],
    },
}

SERVER = ["queue_limit", "replicas"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("L2H_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    forget_what_was_brought()  # prices that an agent sets are kinds, too


def rows_of(env: FleetEnv, actions: Any, seed: int) -> pd.DataFrame:
    env.reset(seed=seed)
    chunks = [env.advance(np.atleast_1d(action)) for action in actions]
    return pa.concat_tables([chunk.requests for chunk in chunks]).to_pandas().sort_values("request_id")


@pytest.mark.parametrize("controls", [None, SERVER, ["price:devices", *SERVER]])
def test_gymnasium_finds_nothing_wrong(controls: list[str] | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make("L2HFleet-v0", scenario=TINY, controls=controls)
        check_env(env.unwrapped, skip_render_check=True)
    seen = env.unwrapped.observed
    of_group = tuple(f"devices.{name}" for name in OF_GROUP)
    assert seen == (
        of_group if controls is None else OF_SERVER if len(controls[0]) == 11 else of_group + OF_SERVER
    )


@pytest.mark.slow
@pytest.mark.parametrize("path", ["simpy", "compiled"])
@pytest.mark.parametrize("unit", ["share", "score"])
def test_a_price_that_is_repeated_leaves_the_bytes_of_the_fixed_price(
    here: Path, path: str, unit: Any
) -> None:
    fixed = {"kind": "bounded_rate", "rate": 0.3} if unit == "share" else {"kind": "threshold", "at": 0.3}
    run = l2h_fleet.run(TINY, {"fleet.devices.policy.price": fixed}, out=here / "run")
    expected = pd.read_parquet(run.path / "requests").sort_values("request_id", ignore_index=True)
    env = make_env(TINY, {"engine.path": path}, unit=unit)
    found = rows_of(env, [0.3] * 60, seed=run.scenario["seed"])
    found = found.reset_index(drop=True).astype(expected.dtypes.to_dict())
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.slow
def test_an_episode_is_its_seed_and_its_actions_on_either_clock() -> None:
    draw = np.random.default_rng(0)
    actions = draw.uniform(size=(60, 3))
    made = [
        rows_of(
            make_env(TINY, {"engine.path": path}, controls=["price:devices", "queue_limit", "replicas"]),
            actions,
            5,
        )
        for path in ("simpy", "compiled", "simpy")
    ]
    pd.testing.assert_frame_equal(made[0], made[1])
    pd.testing.assert_frame_equal(made[0], made[2])


def test_prices_replicas_and_the_queue_follow_the_agent() -> None:
    env = make_env(TINY, controls=["price:devices", "queue_limit", "replicas"])
    env.reset(seed=1)
    sent, usable, most = [], [], []
    for second in range(60):
        late = second >= 30
        chunk = env.advance(np.array([0.8, 0.34, 1.0] if late else [0.0, 1.0, 0.0]))
        deferred = chunk.requests["deferred"].to_pandas()
        sent.append(deferred.mean() if len(deferred) else np.nan)
        usable.append(chunk.seconds["usable_replicas_mean"][0])
        most.append(chunk.seconds["waiting_max"][0])
    assert np.nanmax(sent[:30]) == 0.0
    assert 0.6 < np.nanmean(sent[32:]) < 0.95
    assert set(usable[:20]) == {1.0}
    assert usable[-1] == 4.0
    assert max(most[31:]) <= 2


@pytest.mark.slow
def test_rewards_add_up_to_the_risk_that_the_run_paid(here: Path) -> None:
    run = l2h_fleet.run(TINY, {"fleet.devices.policy.price.rate": 0.5}, out=here / "run")
    rows = pd.read_parquet(run.path / "requests")
    env = make_env(TINY)
    env.reset(seed=run.scenario["seed"])
    paid, done, requests = 0.0, False, 0
    while not done:
        _, reward, terminated, done, info = env.step(np.array([0.5]))
        paid, requests = paid - float(reward), requests + info["requests"]
        assert not terminated
    weight = np.where(rows["answered_by"] == "server", run.scenario["costs"]["c_1"], 1.0)
    assert requests == len(rows)
    assert paid == pytest.approx(float((rows["cost"] + weight * ~rows["correct"]).sum()))
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.array([0.5]))


def test_side_by_side_over_seeds() -> None:
    both = make_vec_env(TINY, 2)
    both.reset(seed=5)
    alone = make_env(TINY)
    alone.reset(seed=6)
    for _ in range(10):
        together = both.step(np.full((2, 1), 0.4))
        once = alone.step(np.array([0.4]))
        assert together[0][1].tolist() == once[0].tolist()
        assert together[1][1] == once[1]


@pytest.mark.parametrize(
    ("named", "changes", "line"),
    [
        ({"controls": ["price:cars"]}, {}, r"controls: price:cars: there is no group 'cars'"),
        ({"controls": ["speed"]}, {}, "controls: speed: must be price:GROUP, queue_limit or replicas"),
        (
            {"controls": ["replicas"]},
            {"server.autoscaling": None},
            "replicas: server.autoscaling must",
        ),
        (
            {"controls": ["queue_limit"]},
            {"server.queue_limit": None},
            "queue_limit: server.queue_limit must",
        ),
        ({"control_s": 0.0}, {}, "control_s: 0.0 is not allowed: must be greater than 0"),
        ({"control_s": "1"}, {}, "control_s: '1' is not allowed: must be greater than 0"),
        ({"unit": "money"}, {}, "unit: 'money' is not allowed: must be share or score"),
        ({"controls": ["replicas", "replicas"]}, {}, "controls: replicas, replicas: each once"),
        ({}, {"horizon_s": 0, "server.outages": []}, "horizon_s: 0 is not allowed: an environment"),
    ],
)
def test_what_there_is_no_room_for_is_one_line(named: Any, changes: Any, line: str) -> None:
    with pytest.raises(l2h_fleet.BadInput, match=line):
        make_env(TINY, changes, **named)


@pytest.mark.parametrize("action", [[0.5, 0.5], [1.5], [np.nan]])
def test_an_action_that_is_none_is_one_line(action: list[float]) -> None:
    env = make_env(TINY)
    env.reset(seed=1)
    with pytest.raises(l2h_fleet.BadInput, match="must be 1 numbers from 0 to 1"):
        env.step(np.array(action))


def test_what_is_observed_is_what_the_tables_hold(here: Path) -> None:
    """Arrivals by their instants, whatever ended; means over the step by how long each row of seconds is."""
    run = l2h_fleet.run(TINY, {"fleet.devices.policy.price.rate": 0.5}, out=here / "run")
    rows, timeline = pd.read_parquet(run.path / "requests"), pd.read_parquet(run.path / "timeline.parquet")
    env = make_env(TINY, controls=["price:devices", *SERVER], control_s=7.0)
    env.reset(seed=run.scenario["seed"])
    begin, done = 0.0, False
    while not done:
        seen, _, _, done, info = env.step(np.array([0.5, 1.0, 0.0]))
        told, end = dict(zip(env.observed, seen.tolist(), strict=True)), info["at_s"]
        here_now = rows["arrived_at_s"].between(begin, end, inclusive="left")
        assert told["devices.asks_hz"] == pytest.approx(here_now.sum() / (end - begin))
        seconds = timeline[timeline["at_s"].between(begin, end, inclusive="left")]
        assert told["sends_hz"] == pytest.approx(seconds["first_sends"].sum() / (end - begin))
        begin = end


def test_rewards_of_graded_answers_are_graded() -> None:
    plan = l2h_fleet.Scenario(TINY).document
    table = pa.table(
        {
            "quality": pa.array([0.25, None, 1.0], pa.float32()),
            "correct": [False, False, True],
            "answered_by": ["server", "none", "client"],
            "cost": pa.array([0.1, 0.1, 0.0], pa.float32()),
        }
    )
    assert _risk(table, plan).tolist() == pytest.approx([0.1 + 0.75 * plan.costs.c_1, 1.1, 0.0])
