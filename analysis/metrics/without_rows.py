"""The summary of a run that kept no rows of requests: what its sums, its time line and its events tell.
The same sections as of any run; a number that only rows could tell is None."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.metrics.heads import learned, reply_bytes, users
from analysis.metrics.part_ratios import KEPT_BACK
from analysis.metrics.run_length import span_of
from analysis.metrics.together import merged_prototypes
from analysis.metrics.validity import OF_THE_SERVER, in_flight_of, too_few
from analysis.run_folder.files import read_frame
from analysis.run_folder.own_work import has_own_work
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic, ratio
from analysis.statistics.percentiles import LEAST_INDEPENDENT, LEVELS, independent
from sim.results import columns_by_run
from sim.results.columns import CAUSES, OUTCOMES

Summary = dict[str, Any]
Mask = NDArray[np.bool_]
OF_TIME = (  # sections that read no requests
    *("run_length", "load", "queue", "availability", "staleness", "rounds", "federation", "queues"),
    *("warm_start", "presence", "study", "reliability"),
)
FACTS = (  # numbers of other sections that read none
    *("name", "seed", "horizon_s", "warm_up_s", "from_s", "to_s", "after_until_s"),
    *("normal_waiting", "of_single_links", "queue_recovery_s"),
)
WHY = "no rows of requests are kept: detail: none"


def without_rows(traffic: Traffic, sections: dict[str, Callable[[Traffic], Any]]) -> Summary:
    """All sections of the summary; traffic: without requests. Raises BadInput where its sums are missing."""
    run, sums = traffic.run, Sums(traffic.run)
    found = {name: section(traffic) for name, section in sections.items()}
    by_time = {name: found["intervals"][name] for name in ("load", "queue")}
    found = {name: part if name in OF_TIME else _untold(part) for name, part in found.items()}
    found["intervals"] |= by_time
    if has_own_work(run):
        found["load"] |= {"offered": None}
    for queue in (found.get("queues") or {}).values():  # who asked which server, rows alone tell
        queue["offered"] = None
    counted, arrived = sums.requests(), int(run.columns_of("timeline")["arrivals"].sum())
    found["run"] |= {
        "clients": sum(int(group["clients"]) for group in run.groups.values()),
        "requests_in_warm_up": arrived - counted,
        "held_out_requests": int(sums.of("requests", sums.held_out)),
    }
    if run.has_prototypes:
        by_prototype = sums.answered_by("prototype")
        found["prototypes"] |= merged_prototypes(run) | {
            "answered": int(sums.of("requests", by_prototype)),
            "answered_share": sums.share(by_prototype, sums.known),
        }
    if run.has_heads:
        counts = {
            name: int(sums.only(name).of("requests", sums.only(name).answered_by("server")))
            for name in users(run)
        }
        down = sum(many * reply_bytes(run)[name] for name, many in counts.items())
        found["heads"] |= learned(run) | {"answered": sum(counts.values()), "bytes_down": down}
    _tell(found, _of_whole(run, sums, span_of(traffic).relaxations))
    of_everyone = _of_part(sums, span_of(traffic).relaxations)
    _tell(found["outages"], {"whole_run": of_everyone})
    for name, part in found["groups"].items():
        _tell(part, {"whole_run": _of_part(sums.only(name), span_of(traffic).relaxations)})
    open_at_end = sums.share(sums.outcome("in_flight"), sums.everyone)
    reasons = [too_few(counted), in_flight_of(open_at_end or 0.0)]
    reasons += [rule(traffic) for rule in OF_THE_SERVER]
    against = [reason for reason in reasons if reason is not None]
    return {"valid": not against, "invalid_because": against} | found


def _untold(part: Any) -> Any:
    """The same without its numbers."""
    if isinstance(part, dict):
        told = {name: value if name in FACTS else _untold(value) for name, value in part.items()}
        return told | {"why": WHY} if "why" in told else told
    if isinstance(part, list | tuple):
        return [_untold(one) for one in part]
    return part if isinstance(part, str | bool) else None


def _tell(known: dict[str, Any], more: dict[str, Any]) -> None:
    """Puts numbers in where they belong; nothing is added that other runs lack."""
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(known.get(name), dict):
            _tell(known[name], value)
        elif name in known:
            known[name] = value


class Sums:
    """The tables `totals` and `latencies` of a run, or the rows of one group."""

    def __init__(self, run: Run, tables: tuple[pd.DataFrame, pd.DataFrame] | None = None) -> None:
        schemas = {"totals": columns_by_run.TOTALS, "latencies": columns_by_run.LATENCIES}
        read = (read_frame(run.path / f"{name}.parquet", schema) for name, schema in schemas.items())
        self.run = run
        self.alike, self.took = tables or read

    def only(self, group: str) -> Sums:
        return Sums(
            self.run, (self.alike[self.alike["group"] == group], self.took[self.took["group"] == group])
        )

    def outcome(self, *names: str) -> Mask:
        return np.asarray(self.alike["outcome"].isin(names))

    def answered_by(self, *names: str) -> Mask:
        return np.asarray(self.alike["answered_by"].isin(names))

    def is_true(self, column: str) -> Mask:
        return np.asarray(self.alike[column], dtype=bool)

    @property
    def everyone(self) -> Mask:
        return np.ones(len(self.alike), dtype=bool)

    @property
    def known(self) -> Mask:
        return ~self.outcome("in_flight")

    @property
    def held_out(self) -> Mask:
        return self.known & self.is_true("held_out")

    def of(self, column: str, among: Mask) -> float:
        return float(self.alike[column].to_numpy(dtype=float)[among].sum())

    def requests(self) -> int:
        return int(self.of("requests", self.everyone))

    def share(self, hits: Mask, among: Mask) -> float | None:
        return ratio(self.of("requests", hits & among), self.of("requests", among))

    def mean(self, column: str, among: Mask) -> dict[str, Any]:
        """A mean as other runs have it, without an interval."""
        n = self.of("requests", among)
        return {"value": ratio(self.of(column, among), n), "n": int(n)}

    def percentiles(self, which: str, outcomes: Iterable[str], relaxations: float) -> dict[str, float | None]:
        """Of the time to an answer: the end of the step in which that share is reached (Kaplan and Meier)."""
        outcomes = list(outcomes)
        took = self.took[self.took["outcome"].isin(outcomes)]
        steps = took.groupby("until_s")[[which, "open"]].sum().sort_index()
        ends, is_open = (steps[name].to_numpy(dtype=float) for name in (which, "open"))
        whole = self.of("requests", self.outcome(*outcomes))
        at_risk = whole - np.cumsum(ends) + ends - np.cumsum(is_open) + is_open
        reached = 1 - np.cumprod(1 - ends / np.maximum(at_risk, 1.0))
        found: dict[str, float | None] = {}
        for name, level in LEVELS.items():
            place = int(np.searchsorted(reached, level - 1e-9))
            worth = min(whole, independent(relaxations, level))
            is_told = place < reached.size and worth >= LEAST_INDEPENDENT.get(level, 0.0)
            found[name] = float(steps.index[place]) if is_told else None
        return found

    def spread(self, which: str, outcomes: Iterable[str], relaxations: float) -> dict[str, Any]:
        """How many were answered, their mean, and percentiles."""
        outcomes = list(outcomes)
        mine = self.outcome(*outcomes)
        n = self.of(f"{which}_n", mine)
        mean = ratio(self.of(f"{which}_s", mine), n)
        return {"n": int(n), "mean": mean} | self.percentiles(which, outcomes, relaxations)


def _of_whole(run: Run, sums: Sums, relaxations: float) -> Summary:
    known, sent, decided = sums.known, sums.is_true("deferred"), sums.is_true("is_decided")
    by_server, counted = sums.answered_by("server"), sums.requests()
    in_time, seconds = sums.of("in_time", known), run.observed_s
    whole = sums.of("requests", known)
    return {
        "counts": {
            "requests": counted,
            "outcome": {name: int(sums.of("requests", sums.outcome(name))) for name in OUTCOMES},
            "outcome_share": {name: sums.share(sums.outcome(name), sums.everyone) for name in OUTCOMES},
            "server_cause": {
                name: int(sums.of("requests", np.asarray(sums.alike["server_cause"] == name)))
                for name in CAUSES
            },
        },
        "accuracy": {
            "held_out": _accuracy(sums, sums.held_out),
            "training_half": _accuracy(sums, known & ~sums.is_true("held_out")),
        },
        "contrast": {
            side: {
                who: sums.mean(f"{who}_right", sums.held_out & decided & those)
                for who in ("client", "server")
            }
            for side, those in (("deferred", sent), ("local", ~sent))
        },
        "rates": {
            "deferral_rate": _share(sums, sent, decided),
            "deferral_rate_held_out": _share(sums, sent, decided & sums.held_out),
            "remote_answer_rate": sums.share(by_server, known),
            "answered_if_sent": sums.share(by_server, known & sent),
        },
        "latency_s": {
            **{which: sums.spread(which, OUTCOMES, relaxations) for which in ("first", "final")},
            "by_outcome": {name: sums.spread("final", [name], relaxations) for name in OUTCOMES},
        },
        "goodput": {
            "correct_in_time_hz": ratio(sums.of("right_in_time", sums.everyone), seconds),
            "answered_in_time_share": ratio(in_time, whole),
            "served_in_time_share": ratio(_served_in_time(sums), whole),
            "arrivals_hz": ratio(counted, seconds),
        },
        "retries": {
            "attempts": int(sums.of("attempts", sums.everyone)),
            "amplification": _amplification(sums),
        },
        "cost": {
            "total": sums.of("cost", sums.everyone),
            "per_request": ratio(sums.of("cost", sums.everyone), counted),
        },
        "availability": {"answered_in_time_if_sent": ratio(_by_server_in_time(sums), _sent(sums))},
    }


def _accuracy(sums: Sums, among: Mask) -> Summary:
    answerers = {name: sums.answered_by(name) for name in sums.run.answerers if name != "none"}
    right, client = sums.mean("right", among), sums.mean("client_right", among)
    gain = None if right["value"] is None else right["value"] - client["value"]
    return {
        "all": right,
        "answered": sums.mean("right", among & ~sums.answered_by("none")),
        "by_answerer": {name: sums.mean("right", among & mine) for name, mine in answerers.items()},
        "client_accuracy": client,
        "gain": {"value": gain, "n": right["n"]},
        "server_accuracy": sums.mean("server_right", among & sums.is_true("is_decided")),
    }


def _share(sums: Sums, hits: Mask, among: Mask) -> Summary:
    return {"value": sums.share(hits, among), "n": int(sums.of("requests", among))}


def _served_in_time(sums: Sums) -> float:
    sent = sums.is_true("deferred")
    asked = np.where(sent, sums.answered_by("server"), sums.answered_by("client"))
    return sums.of("in_time", sums.known & asked.astype(bool))


def _by_server_in_time(sums: Sums) -> float:
    return sums.of("in_time", sums.answered_by("server") & sums.is_true("deferred") & sums.known)


def _sent(sums: Sums) -> float:
    return sums.of("requests", sums.is_true("deferred") & sums.known)


def _amplification(sums: Sums) -> float | None:
    return ratio(sums.of("attempts", sums.everyone), sums.of("sent", sums.everyone))


def _of_part(sums: Sums, relaxations: float) -> Summary:
    """The numbers that the summary has of any part of the traffic."""
    known, whole = sums.known, sums.of("requests", sums.known)
    taken = sums.percentiles("final", OUTCOMES, relaxations)
    return {
        "requests": sums.requests(),
        "accuracy": sums.mean("right", sums.held_out),
        "client_accuracy": sums.mean("client_right", sums.held_out),
        "deferral_rate": sums.share(sums.is_true("deferred"), sums.is_true("is_decided")),
        "answered_by_server_share": sums.share(sums.answered_by("server"), known),
        "timed_out_share": sums.share(sums.outcome("timed_out"), known),
        "refused_share": sums.share(sums.outcome("refused"), known),
        "not_sent_share": sums.share(sums.outcome(*KEPT_BACK), known),
        "answered_share": ratio(sums.of("final_n", sums.everyone), whole),
        "answered_in_time_share": ratio(sums.of("in_time", known), whole),
        "served_in_time_share": ratio(_served_in_time(sums), whole),
        **{f"{name}_latency_s": value for name, value in taken.items()},
        "amplification": _amplification(sums),
        "cost_per_request": ratio(sums.of("cost", sums.everyone), sums.requests()),
    }
