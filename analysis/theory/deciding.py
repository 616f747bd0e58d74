"""What the models' own tables promise: the share sent, and the risk, with a server that is there a share a.
One of the laws of this package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.metrics.measures import risk_of
from analysis.metrics.service import load
from analysis.metrics.study import as_trained
from analysis.run_folder.outages import availability_of
from analysis.run_folder.traffic import Traffic
from analysis.theory.prediction import Law, Prediction, mean_of, share_of
from analysis.theory.service_laws import service_law
from analysis.theory.streams import (
    BOUNDED,
    calibration_error,
    mean_s,
    names_samples,
    timer_s,
    transfers_s,
)

MOST_LOAD = 0.85  # above, queues begin to keep answers from being in time
LINE = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # availabilities at which the risk is told beside the run's own
LEAST_REQUESTS = 200
WRITTEN = ("intervals", "trace", "daily", "weekly")  # outages whose times no chance decides
CHOSEN = ("safe", "risk_controlled")  # prices whose threshold the learners choose
GAINS = ("plug_in", "l2h_priced", "compare_confidence", "oracle")  # scores in the unit of their price
OUTAGE_LOSSES = ("refuse", "silent")


@dataclass(frozen=True)
class Reach:
    """How often a send is answered: the share a; P(charged | sent); the variance that the chance of the
    outages gives a in this run."""

    share: float
    charged_unanswered: float
    variance: float

    def charged(self, share: float) -> float:
        return share + (1 - share) * self.charged_unanswered


def predict(traffic: Traffic) -> list[Prediction] | None:
    """Deferral rate and risk of each group that decides at a fixed price by a score the study has a row for,
    and the deferral rate of each that holds one."""
    scenario = traffic.run.scenario
    learns = scenario["training"].get("online") is not None or scenario.get("federation") is not None
    if learns or scenario["training"]["exploration"]:
        return None
    predictions: list[Prediction] = []
    for group in traffic.run.groups.values():
        if group["traffic"]["drift"] or names_samples(group):
            continue
        row = _row(traffic, group)
        predictions += _held(traffic, group) if row is None else _compare(traffic, group, row)
    return predictions or None


def _held(traffic: Traffic, group: dict[str, Any]) -> list[Prediction]:
    """The deferral rate of a price that holds one; as calibrations go, it may be off by two standard
    errors."""
    if group["policy"]["price"]["kind"] not in BOUNDED:
        return []
    rate = float(group["policy"]["price"]["rate"])
    decided = traffic.is_of_group(group["group"]) & traffic.column("is_decided")
    if decided.sum() < LEAST_REQUESTS:
        return []
    sent = traffic.column("deferred")[decided]
    simulated = share_of(int(sent.sum()), int(decided.sum()))
    off = 2 * calibration_error(traffic, group)
    return [Prediction("deferral rate", group["group"], "share", rate, simulated, margin=off)]


def _row(traffic: Traffic, group: dict[str, Any]) -> dict[str, Any] | None:
    """The study's row of the group's own score at its own price, that of the nearest c_e; of a price that is
    chosen on the calibration pool, that of the scenario's own."""
    price, told = group["policy"]["price"], traffic.run.columns_of("study")
    if not told["group"].size or price["kind"] not in ("threshold", *CHOSEN):
        return None
    costs = traffic.run.scenario["costs"]
    mine = as_trained(traffic.run) & (told["c_1"] == costs["c_1"])
    mine &= (told["group"] == group["group"]) & (told["score"] == group["policy"]["score"])
    if price["kind"] in CHOSEN:
        mine &= told["c_e"] == costs["c_e"]
    else:
        mine &= np.isclose(told["price"], float(price["at"]), atol=1e-9)
    rows = np.flatnonzero(mine)
    if not rows.size:
        return None
    nearest = rows[np.argmin(np.abs(told["c_e"][rows] - float(costs["c_e"])))]
    return {name: values[nearest] for name, values in told.items()}


def _compare(traffic: Traffic, group: dict[str, Any], row: dict[str, Any]) -> list[Prediction]:
    name = group["group"]
    mine = traffic.is_of_group(name) & traffic.column("held_out")
    decided = mine & traffic.column("is_decided")
    if decided.sum() < LEAST_REQUESTS:
        return []
    sent = traffic.column("deferred")
    price, own = group["policy"]["price"].get("at"), float(traffic.run.scenario["costs"]["c_e"])
    rate = share_of(int((sent & decided).sum()), int(decided.sum()))
    is_priced = price is not None and group["policy"]["score"] in GAINS
    along = ("price", float(price)) if is_priced else ("", None)
    predictions = [Prediction("deferral rate", name, "share", float(row["deferral_rate"]), rate, *along)]
    reach = reach_of(traffic, group)
    judged = mine & traffic.known & traffic.column("server_known")
    if reach is None or not judged.any() or traffic.run.has_own_costs:
        return predictions

    def risk(quantity: str, c_e: float, over: str, at: float | None) -> Prediction:
        slope = (risk_at(1.0, c_e, row, reach, group) - risk_at(0.5, c_e, row, reach, group)) / 0.5
        paid = mean_of(risk_of(traffic, c_e)[judged], slope**2 * reach.variance)
        return Prediction(
            quantity, name, "loss", risk_at(reach.share, c_e, row, reach, group), paid, over, at
        )

    if reach.share < 1:
        line = [
            Prediction("risk", name, "loss", risk_at(a, own, row, reach, group), None, "availability", a)
            for a in LINE
        ]
        return [*predictions, risk("risk", own, "availability", reach.share), *line]
    predictions.append(risk("risk", own, *along))
    if is_priced:
        predictions.append(risk("risk had deferring cost this", float(price), *along))
    return predictions


def risk_at(share: float, c_e: float, row: dict[str, Any], reach: Reach, group: dict[str, Any]) -> float:
    """P(kept, m wrong) + P(sent)·(c_e·P(charged) + a·c_1·P(e wrong) + (1−a)·P(fallback wrong)), from a row of
    the study (DESIGN §6, the loss with availability a)."""
    sent = float(row["deferral_rate"])
    wrong = {
        (model, side): 1 - float(row[f"{model}_accuracy_{side}"])
        for model, side in (("client", "local"), ("client", "remote"), ("server", "remote"))
    }
    kept = (1 - sent) * wrong["client", "local"] if sent < 1 else 0.0
    if sent == 0:
        return kept
    fallback = wrong["client", "remote"] if group["fallback"] == "client" else 1.0
    answered = share * float(row["c_1"]) * wrong["server", "remote"]
    return kept + sent * (c_e * reach.charged(share) + answered + (1 - share) * fallback)


def reach_of(traffic: Traffic, group: dict[str, Any]) -> Reach | None:
    """How often this group's sends are answered, from the scenario; None where queues or retries say."""
    scenario = traffic.run.scenario
    server, outages = scenario["server"], scenario["server"]["outages"]
    if not _is_served_at_once(traffic, group):
        return None
    if not outages:
        return Reach(1.0, 1.0, 0.0)
    retry, outage = group["retry"], outages[0]
    is_plain = len(outages) == 1 and outage["effect"]["kind"] == "down"
    if not is_plain or (retry is not None and int(retry["attempts"]) > 1):
        return None
    if outage["target"]["kind"] != "server" or server["when_down"] not in OUTAGE_LOSSES:
        return None
    unanswered = 1.0 if scenario["costs"]["charge_on"] == "send" else 0.0
    share, variance = _availability(traffic, outage["when"])
    return None if share is None else Reach(share * _survives(server, outage), unanswered, variance)


def _is_served_at_once(traffic: Traffic, group: dict[str, Any]) -> bool:
    """Whether neither the group's own limits nor the server's, nor a queue keep an answer from being in time:
    whoever waits twice as long as the way and a full batch take is patient enough at such loads."""
    offered, server = load(traffic)["offered"], traffic.run.server
    service = service_law(traffic.run)
    if service is None or server["admission"]["kind"] != "none":
        return False
    if timer_s(group) < 2 * (transfers_s(group) + service.mean_s(int(server["max_batch"]))):
        return False
    is_steady = all(g["arrivals"]["shape"]["kind"] == "constant" for g in traffic.run.groups.values())
    is_free = not group["budget"] and not group["breaker"]
    return offered is not None and offered <= MOST_LOAD and is_steady and is_free


def _availability(traffic: Traffic, when: dict[str, Any]) -> tuple[float | None, float]:
    """The long-run share of time up, and the variance of that share in a run of this length.

    Exponential up and down times of means u and d: a = u/(u + d), variance 2·a·(1 − a)·τ/T with
    τ = u·d/(u + d) (the integral of the covariance a·(1 − a)·exp(−t/τ)). Written periods are exact.
    """
    if when["kind"] in WRITTEN:
        return availability_of(traffic.run), 0.0
    up_s, down_s = _means_s(when)
    if not np.isfinite([up_s, down_s]).all():
        return None, 0.0
    share, tau_s = up_s / (up_s + down_s), up_s * down_s / (up_s + down_s)
    return share, 2 * share * (1 - share) * tau_s / max(traffic.run.observed_s, tau_s)


def _means_s(when: dict[str, Any]) -> tuple[float, float]:
    if when["kind"] == "intermittent":
        a, cycle_s = float(when["availability"]), float(when["mean_cycle_s"])
        return a * cycle_s, (1 - a) * cycle_s
    if when["kind"] != "renewal":
        return np.nan, np.nan
    kinds = [part["kind"] if isinstance(part, dict) else "constant" for part in (when["up"], when["down"])]
    if kinds != ["exponential", "exponential"]:
        return np.nan, np.nan
    return mean_s(when["up"]), mean_s(when["down"])


def _survives(server: dict[str, Any], outage: dict[str, Any]) -> float:
    """P(the server stays up from a send's arrival to its answer's departure | it was up), roughly: where up
    times are exponential, exp(−service/u)."""
    if outage["when"]["kind"] in WRITTEN or server["in_flight"] == "finish":
        return 1.0
    service = server["service"]
    takes_s = (
        service["base_s"] + service["per_item_s"] if service["kind"] == "affine" else mean_s(service["time"])
    )
    return float(np.exp(-float(takes_s) / _means_s(outage["when"])[0]))


LAW = Law(
    "What the tables promise",
    "deferral rate = share of the held-out samples that score above the price, or the rate a price holds; "
    "risk = P(kept, m wrong) + P(sent)·(c_e·P(charged) + a·c_1·P(e wrong) + (1−a)·P(m wrong))",
    "a fixed price the study has a row for, no drift, no learning during the run; for the risk an offered "
    "load below 0.85, no admission control, clients that wait for twice the way and a full batch, and no "
    "outages but those of the whole server in which it does not answer and nobody tries again",
    "Learning to Help in Multi-Class Settings (arXiv 2501.13810), generalised 0-1 loss; a = mean "
    "up/(mean up + mean down) by renewal-reward",
    "where queues or retries decide who is answered; with few outages, whose chance the interval shows; on "
    "samples of the training half, which have tables of their own",
    predict,
    knows=frozenset(),
)
