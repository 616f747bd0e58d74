"""A new kind is one object: registered, it is read, drawn and simulated, and nothing else knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError
from worlds import group_of, made_up, scenario_of

from sim.engine.choice import EnginePath
from sim.engine.run import Run
from sim.policy.controllers import CONTROLLERS, Parameters
from sim.policy.outcomes import Request
from sim.registry.arrivals import PROCESSES, ArrivalProcess
from sim.registry.durations import DURATIONS, Quantile, RandomDuration, duration
from sim.registry.outages import WHEN, OutageWhen
from sim.registry.prices import PRICES, PriceRule, Unit
from sim.registry.registry import Examples, PartFamily
from sim.scenario import Scenario
from sim.scenario.rules.checks import findings
from sim.scenario.schema.server import Outage
from sim.scenario.schema.values import Count, Part, Positive, Span
from sim.simulation import simulate
from sim.world.arrivals.processes import Columns, Drawn, Group
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.outages.downtime import Downtime
from sim.world.outages.drawn import Hit, Times
from sim.world.population import Population
from sim.world.world import World


class Uniform(RandomDuration):
    """Uniform from 0 to twice the mean."""

    kind: Literal["uniform"]
    examples: ClassVar[Examples] = {"uniform": {"mean_s": 0.2}}
    mean_s: Span
    """Mean."""

    def quantile(self) -> Quantile:
        return lambda u: 2 * self.mean_s * u


class Metronome(ArrivalProcess):
    """Every client asks at every full beat."""

    kind: Literal["metronome"]
    rate_hz: Positive
    """Beats per second."""

    def source(self, scenario: Scenario, _clients: Population, place: int) -> Group:
        return Beats(self.rate_hz, scenario.fleet[place].clients)

    def steady_rate_hz(self) -> float:
        return self.rate_hz


class Beats:
    def __init__(self, rate_hz: float, clients: int) -> None:
        self._rate_hz, self._clients = rate_hz, clients

    def draw(self, start_s: float, end_s: float) -> Drawn:
        n = np.arange(np.ceil(start_s * self._rate_hz), np.ceil(end_s * self._rate_hz))
        return np.tile(n / self._rate_hz, self._clients), np.repeat(
            np.arange(self._clients, dtype=np.int32), len(n)
        )

    def state(self) -> Columns:
        return {}

    def restore(self, state: Columns) -> None:
        """Nothing is kept."""


class EveryNth(PriceRule):
    """Sends every n-th request, whatever its score."""

    kind: Literal["every_nth"]
    unit: ClassVar[Unit] = "score"
    keeps_state: ClassVar[bool] = True
    n: Count
    """Of how many requests one is sent."""


@dataclass(frozen=True)
class Turn(Parameters):
    """m: requests decided so far."""

    n: float

    def begin(self) -> tuple[float, ...]:
        return (0.0,)

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:  # noqa: ARG004
        return -inf if (m[0] + 1.0) % p[0] == 0.0 else inf

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None:  # noqa: ARG004
        m[0] += 1.0


class Nightly(OutageWhen):
    """The last hundredth of the run."""

    kind: Literal["nightly"]

    def times(self, hit: Hit) -> Times:
        return Downtime([(0.99 * hit.horizon_s, hit.horizon_s)]), {}


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for family in (DURATIONS, PROCESSES, WHEN, PRICES, CONTROLLERS):
        monkeypatch.setattr(family, "_entries", dict(family))
    DURATIONS.part(Uniform)
    PROCESSES.part(Metronome)
    WHEN.part(Nightly)
    PRICES.part(EveryNth)
    CONTROLLERS.of("every_nth")(lambda price, _costs: Turn(price.n))


def read(family: PartFamily[Any], written: dict[str, Any]) -> Any:
    """What a schema that is made now reads."""
    union = duration(Span) if family is DURATIONS else family.union()
    return TypeAdapter(union).validate_python(written)


def with_part(scenario: Part, *path: str | int, value: Any) -> Any:
    """The scenario with another part at a path: its own schema was made before the kind was registered."""
    step, *rest = path
    below = getattr(scenario, str(step))
    if rest and isinstance(rest[0], int):
        (place, *rest), entries = rest, list(below)
        entries[place] = with_part(entries[place], *rest, value=value) if rest else value
        return scenario.model_copy(update={step: tuple(entries)})
    return scenario.model_copy(update={step: with_part(below, *rest, value=value) if rest else value})


def test_a_duration_a_process_and_an_outage_are_simulated(tmp_path: Path) -> None:
    group = group_of(
        clients=3,
        timeout_s=5.0,
        arrivals={"process": {"kind": "poisson", "rate_hz": 1.0}},
        policy={"price": {"kind": "always_remote"}},
    )
    scenario: Any = scenario_of(horizon_s=100.0, fleet=(group,))
    latency = read(DURATIONS, {"kind": "uniform", "mean_s": 0.2})
    beats = read(PROCESSES, {"kind": "metronome", "rate_hz": 0.5})
    outage = Outage.model_construct(when=read(WHEN, {"kind": "nightly"}))
    scenario = with_part(scenario, "fleet", 0, "link", "latency", value=latency)
    scenario = with_part(scenario, "fleet", 0, "arrivals", "process", value=beats)
    scenario = with_part(scenario, "server", "outages", value=(outage,))
    assert list(findings(scenario)) == []
    simulate(World(scenario), made_up(scenario), tmp_path)
    requests = pd.read_parquet(tmp_path / "requests")
    assert sorted(requests["arrived_at_s"]) == sorted(3 * np.arange(0.0, 100.0, 2.0).tolist())
    outages = pd.read_parquet(tmp_path / "outages.parquet")
    assert outages[["from_s", "until_s"]].to_numpy().tolist() == [[99.0, 100.0]]
    uplink = (requests["reached_at_s"] - requests["sent_at_s"]).dropna()
    assert 0.0 < uplink.min() < 0.1
    assert 0.3 < uplink.max() < 0.4


@pytest.mark.parametrize("path", ["simpy", "compiled"])
def test_a_price_is_two_objects_that_both_clocks_play(path: str) -> None:
    """Its part of the scenario, and its three functions."""
    group = group_of(clients=3, arrivals={"process": {"kind": "poisson", "rate_hz": 1.0}})
    scenario: Any = scenario_of(horizon_s=100.0, fleet=(group,))
    price = read(PRICES, {"kind": "every_nth", "n": 4})
    scenario = with_part(scenario, "fleet", 0, "policy", "price", value=price)
    assert list(findings(scenario)) == []
    world = World(scenario)
    run = Run(world, made_up(scenario), ScenarioArrivals(world), path=EnginePath(path, ""))
    requests = run.advance().requests.to_pandas().sort_values("request_id")
    assert run.is_over
    assert len(requests) > 200
    for _, mine in requests.groupby("client_id"):
        assert mine["deferred"].tolist() == [(n + 1) % 4 == 0 for n in range(len(mine))]
        assert set(mine["threshold"]) == {-inf, inf}


def test_a_part_goes_by_the_name_that_its_tag_says() -> None:
    with pytest.raises(ValueError, match=r"^Uniform cannot be the duration 'even': its kind says otherwise$"):
        DURATIONS.register("even", Uniform)


def test_what_nobody_registered_is_refused() -> None:
    with pytest.raises(ValidationError, match="does not match any of the expected tags"):
        read(PROCESSES, {"kind": "heartbeat", "rate_hz": 0.5})
