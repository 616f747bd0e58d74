"""What calls of serverless servers and replicas that are there cost, and how many calls were cold.
Sections of the summary of runs whose scenario has such servers, or prices."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.metrics.measures import Ratio
from analysis.run_folder.outages import mean_of_steps, replica_steps
from analysis.run_folder.traffic import Floats, Traffic, ratio


def calls(traffic: Traffic) -> dict[str, Any] | None:
    """None where no server is serverless."""
    if not traffic.run.has_calls:
        return None
    made, cold, usd = (float(_of(traffic, name).sum()) for name in ("calls", "cold_calls", "calls_usd"))
    return {
        "made": int(made),
        "cold": int(cold),
        "cold_share": ratio(cold, made),
        "usd": usd,
        "usd_per_1000_answers": ratio(1000 * usd, _answered(traffic).sum()),
    }


def money(traffic: Traffic) -> dict[str, Any] | None:
    """None where nothing has a price in money."""
    run = traffic.run
    priced = [one for one in run.servers.values() if _has_price(one)]
    if not priced:
        return None
    of_calls = float(_of(traffic, "calls_usd").sum()) if run.has_calls else 0.0
    of_replicas = sum(replicas_usd(traffic, name) or 0.0 for name in run.servers)
    by_server = traffic.is_answered_by("server").sum()
    return {
        "calls_usd": of_calls,
        "replicas_usd": of_replicas,
        "usd_per_1000_answers": ratio(1000 * (of_calls + of_replicas), by_server),
    }


def replicas_usd(traffic: Traffic, server: str) -> float | None:
    """What a server's replicas cost in USD; None where they have no price."""
    run = traffic.run
    price = run.servers[server].get("usd_per_replica_s")
    return float(price) * there(traffic, server) * run.observed_s if price else None


def there(traffic: Traffic, server: str) -> float:
    """The mean number of replicas that are there, whether outages stop them or not; of instances those
    provisioned."""
    run = traffic.run
    terms = run.servers[server].get("serverless")
    if terms:
        return float(terms["provisioned"])
    return mean_of_steps(replica_steps(run, server), run.warm_up_s, run.horizon_s) or 0.0


def _has_price(server: dict[str, Any]) -> bool:
    terms = server.get("serverless") or {}
    return any((server.get("usd_per_replica_s"), terms.get("usd_per_call"), terms.get("usd_per_s")))


def _of(traffic: Traffic, name: str) -> Floats:
    return traffic.requests[name].to_numpy(dtype=np.float64)


def _answered(traffic: Traffic) -> Floats:
    """Requests that a serverless server answered: those of the others are of no call."""
    requests, run = traffic.requests, traffic.run
    is_answered = traffic.is_outcome("remote")
    if run.has_options:
        names = [name for name, one in run.servers.items() if one.get("serverless")]
        is_answered = is_answered & requests["server"].isin(names).to_numpy()
    elif len(run.servers) > 1:
        is_answered = is_answered & (_of(traffic, "calls") > 0)
    return np.asarray(is_answered, dtype=np.float64)


# As sums over requests, for their intervals in time.
OF_REQUESTS = {
    "cold_share": Ratio(
        "cold calls",
        "share",
        lambda traffic: (_of(traffic, "cold_calls"), _of(traffic, "calls")),
        in_time=True,
    ),
    "usd_per_1000_answers": Ratio(
        "price of 1,000 answers",
        "USD",
        lambda traffic: (1000 * _of(traffic, "calls_usd"), _answered(traffic)),
        in_time=True,
    ),
}

DEFINITIONS = {
    "calls.made": "Attempts on which a serverless server's instance began to work (count).",
    "calls.cold": "Those of them that found no warm instance (count).",
    "calls.cold_share": "Cold calls over all calls (share).",
    "calls.usd": "Price of all calls, usd_per_call each and usd_per_s of their run (USD).",
    "calls.usd_per_1000_answers": (
        "1,000 x calls.usd over the requests that a serverless server answered in time (USD)."
    ),
    "money.calls_usd": "As calls.usd (USD).",
    "money.replicas_usd": (
        "usd_per_replica_s of every replica that was there after the warm-up, outages included; of "
        "serverless servers of those provisioned (USD)."
    ),
    "money.usd_per_1000_answers": "1,000 x both over the requests that any server answered in time (USD).",
}
