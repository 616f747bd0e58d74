"""Each recipe of the docs is played, and does what its page says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import analysis
import l2h_fleet
from analysis.run_folder.outages import usable_steps

pytestmark = pytest.mark.usefixtures("plain_pictures")

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/recipes.md").read_text()
RECIPES = {
    re.findall(r"^name: (\w+)$", text, flags=re.MULTILINE)[0]: text
    for text in re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
}


@pytest.fixture
def played(tmp_path: Path, request: pytest.FixtureRequest) -> analysis.Run:
    """The run of the recipe that a test is named after."""
    name = request.node.name.removeprefix("test_").partition("_")[0]
    file = tmp_path / f"{name}.yaml"
    file.write_text(RECIPES[name])
    return l2h_fleet.run(file, out=tmp_path / name)


def test_every_recipe_is_played_below() -> None:
    tests = ["_".join(name.split("_")[:2]) for name in globals() if name.startswith("test_")]
    assert {f"test_{name}" for name in RECIPES} == set(tests) - {"test_every"}


@pytest.mark.slow
def test_priority_lets_the_urgent_pass(played: analysis.Run) -> None:
    started = played.requests.dropna(subset=["started_at_s"]).sort_values("started_at_s")
    waited = started["started_at_s"] - started["reached_at_s"]
    urgent = started["group"] == "urgent"
    assert waited[urgent].mean() < 0.5 * waited[~urgent].mean()
    # Whoever of the background starts, nobody urgent has been waiting for longer than it takes to start.
    for _, one in started[~urgent].iterrows():
        ahead = started[urgent & (started["reached_at_s"] < one["started_at_s"])]
        assert not (ahead["started_at_s"] > one["started_at_s"]).any()


def test_failures_are_independent_and_add(played: analysis.Run) -> None:
    assert sorted(played.periods["outage"].unique()) == [0, 1]
    at_s, usable = usable_steps(played)
    middle = (at_s[:-1] + at_s[1:]) / 2
    periods = played.periods
    down = [((periods["from_s"] <= at) & (at < periods["until_s"])).sum() for at in middle]
    assert (usable[:-1] == 2 - np.array(down)).all()
    assert {0, 1, 2} >= set(usable) >= {1, 2}


@pytest.mark.slow
def test_maintenance_comes_every_night_and_on_sunday(played: analysis.Run) -> None:
    nights = [86_400.0 * day + 10_800 for day in range(7)]
    periods = played.periods.sort_values("from_s")
    assert sorted(periods["from_s"]) == sorted([*nights, 6 * 86_400.0 + 14_400])
    assert sorted(set(periods["until_s"] - periods["from_s"])) == [600.0, 1800.0]


def test_evening_is_when_most_ask(played: analysis.Run) -> None:
    hours = np.bincount((played.requests["arrived_at_s"] // 3600).astype(int), minlength=24)
    assert hours[18:23].sum() > 3 * hours[6:11].sum()


@pytest.mark.slow
def test_quotas_hold(played: analysis.Run) -> None:
    requests = played.requests
    sent = requests[requests["attempts"] > 0]
    minute = (sent["sent_at_s"] // 60).astype(int)
    tenant = sent["group"] == "tenant"
    assert minute[tenant].value_counts().max() == 30
    assert sent[~tenant].groupby(["client_id", minute[~tenant]]).size().max() == 2
    assert (requests["outcome"] == "over_budget").sum() > 100
