"""What each group sends, from the scenario alone where it says so: requests, the share sent, patience.
Below the laws of this package, which ask for rates and never for what became of the requests."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, pi, sin, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.run_folder.kept import kept
from analysis.run_folder.traffic import Traffic
from analysis.statistics.pieces import pieces

Floats = NDArray[np.float64]
SHAPES = ("constant", "diurnal", "flash_crowd", "profile", "ramp")
STEP_S = 60.0  # a share that the scenario does not tell is read off the decisions of each minute
FIXED = ("threshold", "always_local", "always_remote")
BOUNDED = ("bounded_rate", "bounded_rate_thinned", "rate_controller")


@dataclass(frozen=True)
class Stream:
    """The requests of one group whose policy does not look at the server, and what it sends of them.

    rate_hz: of all its clients together, before the shape. shares: P(sent) in each minute, or one for all.
    share_error: its standard error, where a calibration on few samples is all that holds it.
    """

    group: dict[str, Any]
    rate_hz: float
    shares: tuple[float, ...]
    share_error: float = 0.0

    @property
    def name(self) -> str:
        return str(self.group["group"])

    @property
    def clients(self) -> int:
        return int(self.group["clients"])

    @property
    def is_steady_poisson(self) -> bool:
        arrivals = self.group["arrivals"]
        return (arrivals["process"]["kind"], arrivals["shape"]["kind"]) == ("poisson", "constant")

    def share(self, at_s: float) -> float:
        """P(sent) of a request that arrives at this instant."""
        return self.shares[min(int(at_s / STEP_S), len(self.shares) - 1)]

    def shares_at(self, at_s: Floats) -> Floats:
        """The same at each of several instants, (n,)."""
        minute = np.minimum((at_s / STEP_S).astype(np.int64), len(self.shares) - 1)
        return np.array(self.shares)[minute]

    def first_sends_hz(self, at_s: float) -> float:
        """First sends per second at an instant."""
        return self.rate_hz * factor(self.group["arrivals"]["shape"], at_s) * self.share(at_s)

    def mean_first_sends_hz(self, from_s: float, to_s: float) -> float:
        """The same, mean over [from, to), in steps of a second."""
        instants, shape = np.arange(from_s, to_s, 1.0) + 0.5, self.group["arrivals"]["shape"]
        minutes = np.minimum(instants // STEP_S, len(self.shares) - 1).astype(np.int64)
        first, last = (int(minutes[0]), int(minutes[-1])) if minutes.size else (0, 0)
        shares = np.array(self.shares[first : last + 1])[minutes - first]
        factors = 1.0 if shape["kind"] == "constant" else [factor(shape, at) for at in instants.tolist()]
        return float(np.mean(self.rate_hz * np.asarray(factors) * shares))


@kept
def streams_of(
    traffic: Traffic, as_decided: bool = False, beside_batteries: bool = True
) -> list[Stream] | None:
    """The streams of all groups; None if any of them depends on how the server fares.

    That is so with closed loops, traces (whose rate is their own), budgets, prices that react, clients that
    come and go, and a shape of the rate that nobody here knows; beside_batteries: and if a device may run
    empty, and send nothing then.
    as_decided: with the shares that were sent, where the scenario says others.
    """
    if beside_batteries and any(group["device"].get("battery") for group in traffic.run.groups.values()):
        return None
    made = [_stream(traffic, group, as_decided) for group in traffic.run.groups.values()]
    known = [stream for stream in made if stream is not None]
    return known if len(known) == len(made) else None


def _stream(traffic: Traffic, group: dict[str, Any], as_decided: bool) -> Stream | None:
    if group.get("presence"):
        return None
    process, kind = group["arrivals"]["process"], group["policy"]["price"]["kind"]
    if process["kind"] in ("closed_loop", "trace") or group["budget"] is not None:
        return None
    if group["arrivals"]["shape"]["kind"] not in SHAPES:  # one of a user's own
        return None
    if kind not in FIXED + BOUNDED:
        return None
    rates = process["rates_hz"] if process["kind"] == "mmpp" else [process["rate_hz"]]
    rate_hz = int(group["clients"]) * sum(map(float, rates)) / len(rates)
    configured = configured_share(traffic, group)
    if configured is None or as_decided:
        return Stream(group, rate_hz, _decided(traffic, str(group["group"])))
    return Stream(group, rate_hz, (configured,), calibration_error(traffic, group))


def configured_share(traffic: Traffic, group: dict[str, Any]) -> float | None:
    """P(sent) where the scenario alone says it, exploration included; None where the models decide."""
    policy, explored = group["policy"], float(traffic.run.scenario["training"]["exploration"])
    price, kind = policy["price"], policy["price"]["kind"]
    if kind == "always_local":
        return 0.0
    if kind == "always_remote":
        return 1.0
    if kind in BOUNDED:
        share = float(price["rate"])
        if kind == "rate_controller":
            return share  # it counts what is explored among its sends
    elif policy["score"] == "random":
        share = min(max(1.0 - float(price["at"]), 0.0), 1.0)
    else:
        return None
    return share + (1 - share) * explored


def calibration_error(traffic: Traffic, group: dict[str, Any]) -> float:
    """The standard error of a rate held by a threshold from the calibration pool, on other samples.

    √(ρ(1 − ρ)(1/n_cal + 1/n)): both pools are draws from one law. 0 for what is not held that way.
    """
    policy = group["policy"]
    if policy["price"]["kind"] not in BOUNDED[:2] or policy["score"] == "random":
        return 0.0
    share, samples = float(policy["price"]["rate"]), traffic.run.columns_of("samples")
    counts = [
        np.unique(samples["base_id"][samples["pool"] == pool]).size for pool in ("calibration", "traffic")
    ]
    return sqrt(share * (1 - share) * sum(1 / max(count, 1) for count in counts))


@kept
def _decided(traffic: Traffic, group: str) -> tuple[float, ...]:
    """The share that the policy sent in each minute; one without a decision is like the one before."""
    requests = traffic.everything
    names = requests["group"].cat
    mine = names.codes.to_numpy() == names.categories.get_loc(group)
    mine &= requests["is_decided"].to_numpy()
    arrived_at_s, deferred = requests["arrived_at_s"].to_numpy(), requests["deferred"].to_numpy()
    decided, sent = np.zeros((2, max(1, int(np.ceil(traffic.run.horizon_s / STEP_S)))))
    for places in pieces(mine.size):
        minute = (arrived_at_s[places][mine[places]] // STEP_S).astype(np.int64)
        decided += np.bincount(minute, minlength=decided.size)
        sent += np.bincount(minute, deferred[places][mine[places]], decided.size)
    shares, last = [], float(sent.sum() / max(1, decided.sum()))
    for part, whole in zip(sent, decided, strict=True):
        last = float(part / whole) if whole else last
        shares.append(last)
    return tuple(shares)


def names_samples(group: dict[str, Any]) -> bool:
    """Whether a trace says which samples the group is asked about, and not its mix."""
    return bool((group["arrivals"]["process"].get("columns") or {}).get("sample"))


def factor(shape: dict[str, Any], at_s: float) -> float:
    """By how much a shape multiplies the rate at an instant."""
    if shape["kind"] == "diurnal":
        turn = 2 * pi * (at_s - float(shape["phase_s"])) / float(shape["period_s"])
        return 1 + float(shape["amplitude"]) * sin(turn)
    if shape["kind"] == "flash_crowd":
        since = at_s - float(shape["at_s"])
        return float(shape["factor"]) if 0 <= since < float(shape["for_s"]) else 1.0
    if shape["kind"] == "profile":
        factors = shape["factors"]
        return float(factors[int(at_s // float(shape["each_s"])) % len(factors)])
    if shape["kind"] == "ramp":
        instants, factors = zip(*shape["points"], strict=True)
        return float(np.interp(at_s, instants, factors))
    return 1.0


def mean_s(duration: float | dict[str, Any]) -> float:
    """The mean of a duration in seconds; NaN for one from a file."""
    return float(duration.get("mean_s", np.nan)) if isinstance(duration, dict) else float(duration)


def transfers_s(group: dict[str, Any]) -> float:
    """The mean time that a send and its answer spend on the link, there and back."""
    link = group["link"]
    bandwidth = link["bandwidth_bps"]
    payload_s = 8 * float(link["payload_bytes"]) / float(bandwidth) if bandwidth else 0.0
    return 2 * mean_s(link["latency"]) + payload_s + reply_s(link)


def reply_s(link: dict[str, Any]) -> float:
    """What an answer takes on its way back beside the latency; errors take none of it."""
    bandwidth = link["bandwidth_bps"]
    return 8 * float(link.get("reply_bytes", 0)) / float(bandwidth) if bandwidth else 0.0


def timer_s(group: dict[str, Any]) -> float:
    """How long a client waits for an attempt: its timeout, at most its deadline; inf without either."""
    return min((float(group[name]) for name in ("timeout_s", "deadline_s") if group[name]), default=inf)


def backoffs_s(group: dict[str, Any]) -> tuple[float, ...]:
    """The mean pause before each retry that a request may make."""
    retry = group["retry"]
    if retry is None:
        return ()
    jitter = 0.5 if retry["jitter"] == "full" else 1.0
    return tuple(jitter * longest_pause_s(retry, n) for n in range(1, int(retry["attempts"])))


def longest_pause_s(retry: dict[str, Any], n: int) -> float:
    """The longest pause before the n-th retry, whatever the draw of its jitter; inf beyond all floats."""
    try:
        pause_s = float(retry["backoff_s"]) * float(retry["factor"]) ** (n - 1)
    except OverflowError:
        pause_s = inf if retry["backoff_s"] else 0.0
    return min(pause_s, inf if retry["cap_s"] is None else float(retry["cap_s"]))


def attempts_in_time(group: dict[str, Any]) -> int:
    """How many attempts a request makes if each ends by its timer: those that begin before the deadline."""
    begins_s, made = float(group["device"]["inference_s"]), 1
    for pause_s in backoffs_s(group):
        begins_s += timer_s(group) + pause_s
        if begins_s >= (group["deadline_s"] or inf):
            break
        made += 1
    return made


def passes(group: dict[str, Any]) -> tuple[float, ...]:
    """Of the first, second, ... sends that fail by their timers the share that is sent again: all, or what
    the allowance lets through, first retries first."""
    again, retry = attempts_in_time(group) - 1, group["retry"]
    allowance = again if retry is None or retry["allowance"] is None else float(retry["allowance"])
    return tuple(min(max(allowance - n, 0.0), 1.0) for n in range(again))


def amplification(group: dict[str, Any]) -> float:
    """Sends per request while nothing is answered in time: attempts, or what the allowance lets through."""
    return 1.0 + sum(passes(group))
