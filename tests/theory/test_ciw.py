"""Two engines, one network: Ciw, which shares no line with this one, must tell the same story.

On the same draws (arrivals, transfers, service times) the two must agree request by request, to a nanosecond:
sums of instants are rounded in another order, nothing else may differ. On draws of their own they must agree
as two samples do: a t-test on means, quantiles and losses of independent replications, a false alarm in a
thousand sets of seeds each, and the smallest relative difference found with probability 0.9 claimed. The
first finds every difference of semantics; the second is weak beside it, and there for the draws themselves.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from agreement import assert_agreement, with_other
from ciw_networks import with_draws_of, with_own_draws
from queues import COOL_DOWN_S, MEAN_S, queue, run

from sim.scenario import Scenario

NANOSECOND = 1e-9
TIMES = ["reached_at_s", "started_at_s", "finished_at_s", "answered_at_s"]

TWO_GROUPS = """fleet=
  - group: near
    clients: 1
    arrivals: {process: {kind: poisson, rate_hz: 6}}
    device: {inference_s: 0.08}
    link: {latency: 0.05}
    policy: {price: {kind: always_remote}}
  - group: far
    clients: 20
    arrivals: {process: {kind: poisson, rate_hz: 0.5}}
    link: {latency: {kind: lognormal, mean_s: 0.4, cv: 0.8}}
    policy: {price: {kind: always_remote}}
"""
DOWN = [[at, at + 4.0] for at in range(10, 600, 20)]
OUTAGES = f"server.outages=[{{when: {{kind: intervals, at: {DOWN}}}, target: {{kind: server}}}}]"

NETWORKS: dict[str, Scenario] = {
    "M/M/1": queue(0.7),
    "M/M/4": queue(0.8, servers=4),
    "M/D/2": queue(0.8, servers=2, time=MEAN_S),
    "M/G/1, lognormal": queue(0.6, time={"kind": "lognormal", "mean_s": MEAN_S, "cv": 1.5}),
    "M/G/3, Weibull": queue(0.7, servers=3, time={"kind": "weibull", "mean_s": MEAN_S, "shape": 0.7}),
    "M/M/2/5": queue(1.0, "server.queue_limit=3", servers=2),
    "two groups, a device, links": queue(0.8, TWO_GROUPS, servers=2),
    "shifts of nobody": queue(
        0.5, OUTAGES, "fleet.devices.timeout_s=1000", "server.when_down=queue", "horizon_s=600", servers=3
    ),
}


networks = pytest.mark.parametrize("scenario", NETWORKS.values(), ids=NETWORKS)


@networks
def test_on_the_same_draws_every_request_fares_the_same(scenario):
    scenario = scenario.model_copy(update={"horizon_s": 300.0, "seed": 11})
    ours = run(scenario).requests
    theirs = with_draws_of(scenario, ours)
    assert len(ours) > 1000
    assert len(theirs) == len(ours)
    np.testing.assert_array_equal(theirs["group"], ours["group"])
    np.testing.assert_array_equal(theirs["refused"], ours["outcome"] == "refused")
    np.testing.assert_array_equal(theirs["lost"], ours["server_cause"] == "lost")
    for name in TIMES:
        if name == "answered_at_s":
            ours[name] = ours[name].where(ours["outcome"] == "remote")
        np.testing.assert_allclose(theirs[name], ours[name], rtol=0, atol=NANOSECOND, err_msg=name)


DRAWN = ["rate", "E[S]", "E[S²]"]
# The relative difference that is found with probability 0.9, at most.
FINDS = {"latency": 0.2, "wait": 0.4, "p50": 0.15, "p95": 0.3, "p99": 0.5, "refused": 0.1, "lost": 0.4}


def figures(requests: pd.DataFrame, scenario: Scenario) -> dict[str, float]:
    """Latencies and waits in service times, refusals and losses, and the chance of the draws.

    Of all requests but those of the last seconds; both engines start empty, so the beginning counts too.
    """
    until = scenario.horizon_s - COOL_DOWN_S
    settled = requests[requests["arrived_at_s"] < until]
    simulated = {}
    for group, rows in settled.groupby("group", observed=True):
        latency = (rows["answered_at_s"] - rows["arrived_at_s"]).dropna() / MEAN_S
        tag = f" {group}" if len(scenario.fleet) > 1 else ""
        simulated[f"latency{tag}"] = latency.mean()
        simulated |= {f"p{100 * q:g}{tag}": latency.quantile(q) for q in (0.5, 0.95, 0.99)}
    simulated["wait"] = (settled["started_at_s"] - settled["reached_at_s"]).mean() / MEAN_S
    simulated |= {event: settled[event].mean() for event in ("refused", "lost") if settled[event].any()}
    services = (settled["finished_at_s"] - settled["started_at_s"]) / MEAN_S
    return simulated | dict(
        zip(DRAWN, (len(settled) / until, services.mean(), (services**2).mean()), strict=True)
    )


def ours_of(scenario: Scenario) -> pd.DataFrame:
    requests = run(scenario).requests
    return requests.assign(
        refused=requests["outcome"] == "refused",
        lost=requests["server_cause"] == "lost",
        answered_at_s=requests["answered_at_s"].where(requests["outcome"] == "remote"),
    )


@pytest.mark.slow
@networks
def test_on_draws_of_their_own_the_engines_agree(scenario):
    rate_hz = sum(group.clients * group.arrivals.process.rate_hz for group in scenario.fleet)
    horizon_s = COOL_DOWN_S + 4000 / rate_hz
    ours, theirs = (
        pd.DataFrame(
            figures(engine(seeded), seeded)
            for seed in seeds
            for seeded in [scenario.model_copy(update={"horizon_s": horizon_s, "seed": seed})]
        )
        for engine, seeds in ((ours_of, range(12_000, 12_030)), (with_own_draws, range(12_000, 12_012)))
    )
    comparisons = with_other(ours, theirs, DRAWN)
    claimed = {one.name: FINDS[one.name.split()[0]] for one in comparisons if one.name not in DRAWN}
    assert_agreement(comparisons, claimed)
