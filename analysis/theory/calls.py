"""How many calls of a serverless server are cold: in steady traffic, and in the surge of an outage elsewhere.
One of the laws of this package; from the run it reads only the shares that are sent."""

from __future__ import annotations

from math import exp, sqrt
from typing import Any

from analysis.run_folder.outages import Outage
from analysis.run_folder.own_work import has_own_work
from analysis.run_folder.traffic import Traffic
from analysis.statistics.in_time import Span, share_in_time
from analysis.theory.prediction import Law, Prediction, Simulated, around
from analysis.theory.queues import erlang_b
from analysis.theory.service_laws import Service, service_of
from analysis.theory.streams import Stream, streams_of, timer_s

SHORT_OF = 1e-3  # share of calls that may find no instance at all
LIGHT = 0.1  # erlangs of cold calls below which one instance is warm at most
PEAK = 0.6  # standard deviations by which the most at once exceed their mean in a surge, at most


def predict(traffic: Traffic) -> list[Prediction] | None:
    """The cold share of the one server, or the instances that each surge starts on the one serverless one."""
    run = traffic.run
    names = [name for name, one in run.servers.items() if one.get("serverless")]
    streams = streams_of(traffic, as_decided=True)
    if len(names) != 1 or streams is None or not all(one.is_steady_poisson for one in streams):
        return None
    (name,) = names
    service = None if has_own_work(run) else service_of(run.servers[name]["service"])
    if service is None or run.servers[name]["admission"]["kind"] != "none":
        return None
    if len(run.servers) == 1:
        return _in_steady_traffic(traffic, run.servers[name], streams, service) or None
    surges = [_surge(traffic, name, streams, service, outage) for outage in traffic.outages]
    return [one for one in surges if one is not None] or None


def _in_steady_traffic(
    traffic: Traffic, server: dict[str, Any], streams: list[Stream], service: Service
) -> list[Prediction]:
    sends_once = all(
        one.group[name] is None for one in streams for name in ("options", "retry", "hedge", "breaker")
    )
    if traffic.outages or not sends_once:
        return []
    from_s, to_s = float(traffic.run.scenario["warm_up_s"]), float(traffic.run.horizon_s)
    rate_hz = sum(one.mean_first_sends_hz(from_s, to_s) for one in streams)
    found = cold_share(rate_hz, service.mean_s(1), server["serverless"], int(server["replicas"]))
    if found is None:
        return []
    cold, made = (traffic.requests[name].to_numpy(dtype=float) for name in ("cold_calls", "calls"))
    seen = share_in_time(cold, made, traffic.arrived_at_s, Span(from_s, to_s))
    simulated = Simulated(seen.value, seen.low, seen.high)
    return [Prediction("cold calls", "", "share", found[0], simulated, margin=found[1])]


def cold_share(
    rate_hz: float, takes_s: float, terms: dict[str, Any], instances: int
) -> tuple[float, float] | None:
    """The share of calls that are cold and by how much that may be off, where one of the two formulas holds:
    calls come as a Poisson process and take so long when warm."""
    provisioned = int(terms["provisioned"])
    cold_s = takes_s + float(terms["cold_start_s"])
    if rate_hz <= 0 or erlang_b(instances, rate_hz * cold_s) > SHORT_OF:
        return None
    if provisioned and not terms["keep_alive_s"]:
        return erlang_b(provisioned, rate_hz * takes_s), 0.0
    if provisioned or rate_hz * cold_s > LIGHT:
        return None
    return exp(-rate_hz * float(terms["keep_alive_s"])), rate_hz * cold_s


def _surge(
    traffic: Traffic, name: str, streams: list[Stream], service: Service, outage: Outage
) -> Prediction | None:
    """The instances that a total outage of who is asked first starts, if none is warm as it begins."""
    terms, server = traffic.run.servers[name]["serverless"], traffic.run.servers[name]
    coming = [one for one in streams if _turns_to(traffic, one, outage.target, name)]
    cold_s = service.mean_s(1) + float(terms["cold_start_s"])
    made, arrived = traffic.requests["calls"].to_numpy(), traffic.arrived_at_s
    before = (arrived >= outage.from_s - terms["keep_alive_s"] - cold_s) & (arrived < outage.from_s - cold_s)
    is_long = outage.to_s - outage.from_s > 2 * cold_s and outage.from_s >= traffic.run.warm_up_s
    if not (outage.stops_a_server and coming and is_long) or made[before].any() or terms["provisioned"]:
        return None
    if any(timer_s(one.group) < cold_s for one in coming):  # who gives up on a cold call calls again
        return None
    rate_hz = sum(one.first_sends_hz(outage.from_s + 1.0) for one in coming)
    at_once = rate_hz * cold_s
    during = (arrived >= outage.from_s) & (arrived < outage.to_s)
    cold = float(traffic.requests["cold_calls"].to_numpy()[during].sum())
    is_capped = at_once - 3 * sqrt(at_once) > int(server["replicas"])
    return Prediction(
        "instances started",
        f"{name}, {outage.from_s:g}–{outage.to_s:g} s",
        "calls",
        min(at_once, float(server["replicas"])),
        Simulated(cold, cold, cold) if is_capped else around(cold, cold),
        margin=0.0 if is_capped else PEAK * sqrt(at_once),
    )


def _turns_to(traffic: Traffic, stream: Stream, down: str, name: str) -> bool:
    """Whether a group whose first server is down learns it at once and asks this one next."""
    group, options = stream.group, traffic.run.options[stream.name]
    retry = group["retry"]
    if group["choose"] != "order" or [one["server"] for one in options[:2]] != [down, name]:
        return False
    at_once = retry is not None and retry["next"] == "other" and int(retry["attempts"]) > 1
    return bool(at_once and traffic.run.servers[down]["when_down"] == "refuse")


LAW = Law(
    title="Cold calls",
    formula="light steady traffic: P(cold) = exp(−λ·keep_alive); n provisioned and no keep-alive: "
    "Erlang's B(n, λ·E[S]); a surge of rate λ starts λ·(E[S] + cold_start) instances, or all that there are",
    assumes="Poisson requests; one serverless server that always has an instance left; steady: each sent "
    "once, no outages, λ·(E[S] + cold_start) ≤ 0.1 or no keep-alive; surge: a total outage of the server "
    "asked first, which refuses, this one asked next, none warm before",
    source="gaps of a Poisson process are exponential; Erlang (1917); the most at once in M/G/∞ from empty, "
    "which is Poisson's after E[S] + cold_start, and by simulation at most 0.6 standard deviations above",
    fails="where clients give up on cold calls and call again, which starts more",
    predict=predict,
    knows=frozenset({"calls", "servers", "options", "choices"}),
)
