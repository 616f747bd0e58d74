"""What holds for every budget, service time and time of an outage, of all examples in the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from sim.engine.arrays.laying_out import accounts as laid_out
from sim.engine.handlers.lookups import take
from sim.registry.budgets import BUDGETS
from sim.registry.outage_targets import LinksTarget, ServerTarget
from sim.registry.outages import WHEN
from sim.registry.service import SERVICES
from sim.scenario.schema.server import Outage
from sim.world.outages.downtime import Downtime
from sim.world.outages.drawn import Hit

MEMBERS = np.array([2, 3, 5])
RECURRING = ("daily", "weekly")  # of which a day or a week has one


def every(family: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("written", family.examples().values(), ids=str)


def read(family: Any, written: dict[str, Any]) -> Any:
    return TypeAdapter(family.union()).validate_python(written)


@every(BUDGETS)
@pytest.mark.parametrize("horizon_s", [0.5, 60.0, 61.0, 600.0])
def test_nobody_sends_more_than_a_budget_allows(written: dict[str, Any], horizon_s: float) -> None:
    """Who asks ten times a second gets all of it, but for what is earned at the very end."""
    budget = read(BUDGETS, written)
    kept = budget.allotment()
    account = laid_out([kept])
    asked = np.arange(0.0, horizon_s, 0.1).tolist()
    sent = sum(bool(take(account, 0, now, False)) for now in asked)
    allowed = budget.allowed_in(horizon_s)
    assert sent <= allowed
    assert sent == len(asked) or sent >= allowed - 1


@every(SERVICES)
def test_a_larger_batch_takes_no_less_and_the_factor_has_its_mean(written: dict[str, Any]) -> None:
    service = read(SERVICES, written)
    scales = [service.scale_s(n) for n in range(1, 9)]
    assert scales == sorted(scales)
    u = (np.arange(200_000) + 0.5) / 200_000
    factors = service.factor()(u)
    assert np.all(factors >= 0)
    assert np.mean(factors) == pytest.approx(service.mean_factor(), rel=1e-3)
    assert (service.constant() is None) == (np.ptp(factors) > 0)


def times(
    written: dict[str, Any], horizon_s: float, is_each: bool = False
) -> tuple[Downtime, dict[int, Downtime]]:
    when = read(WHEN, written)
    target = LinksTarget(kind="links", groups=("devices",), correlated=False) if is_each else ServerTarget()
    outage = Outage.model_construct(when=when, target=target)
    members = MEMBERS if is_each else MEMBERS[:0]
    found: tuple[Downtime, dict[int, Downtime]] = when.times(
        Hit(4, 1, horizon_s, outage, "server", members, 9, is_each)
    )
    return found


@pytest.fixture
def _with_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("outages.csv").write_text("from_s,until_s\n3,8\n20,21.5\n")
    events = [("3", 300 * n, 300 * n + 90) for n in range(9)] + [("4", 50, 60), ("5", 70, 99)]
    lines = [f"{n}\t1\t{node}\t1\tx\t0\t{a}\t{b}\tNULL\n" for n, (node, a, b) in enumerate(events)]
    Path("event_trace.tab").write_text("".join(lines))
    failures = "failure_interval,failure_duration,failure_intensity\n" + "9000,500,0.7\n" * 50
    Path("failures.parquet").write_text(failures)  # whatever its name, it is told by its content


@every(WHEN)
@pytest.mark.usefixtures("_with_file")
def test_periods_come_in_order_and_a_longer_horizon_only_adds_some(written: dict[str, Any]) -> None:
    unit_s = 86_400.0 if written["kind"] in RECURRING else 1.0
    short, long = (list(times(written, horizon * unit_s)[0]) for horizon in (100.0, 1000.0))
    assert short[:-1] == long[: len(short) - 1]
    edges = [edge for period in long for edge in period]
    assert len(long) > 1
    assert edges == sorted(edges)


@every(WHEN)
@pytest.mark.usefixtures("_with_file")
def test_links_fail_each_on_its_own_where_times_may_differ(written: dict[str, Any]) -> None:
    shared, own = times(written, 1e6 if written["kind"] in RECURRING else 1000.0, is_each=True)
    if own:
        assert WHEN[written["kind"]].may_differ
        assert list(own) == MEMBERS.tolist()
        assert len({tuple(line) for line in own.values()}) == len(own)
    else:
        assert len(shared)


@every(WHEN)
def test_the_mean_cycle_is_that_of_its_times(written: dict[str, Any]) -> None:
    cycle_s = read(WHEN, written).cycle_s()
    if cycle_s:
        begins = np.array([begin for begin, _ in times(written, 2000 * cycle_s)[0]])
        assert np.diff(begins).mean() == pytest.approx(cycle_s, rel=0.1)
