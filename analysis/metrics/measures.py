"""What two runs are compared by: each headline number as sums over requests, a percentile, or one number.
Used by `analysis.statistics.comparison`; a new measure is one line in a table here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.metrics.service import served_in_time
from analysis.run_folder.parts import OF_WHOM
from analysis.run_folder.traffic import Floats, Mask, Traffic

Sums = tuple[NDArray[Any], NDArray[Any]]


class Ratio(NamedTuple):
    """The sum of `parts` over the sum of `wholes`, both a number per request (n,) or a mask."""

    label: str
    unit: str
    parts_and_wholes: Callable[[Traffic], Sums]
    per_second: bool = False  # times the requests per second, which the runs of a pair share
    in_time: bool = False  # of what requests have in common with their neighbours in time: how busy it is


class Percentile(NamedTuple):
    """A percentile of the latency to the final answer, over all requests that arrived."""

    label: str
    unit: str
    level: float

    @property
    def path(self) -> tuple[str, ...]:
        """Where the summary holds it."""
        return ("latency_s", "final", f"p{round(100 * self.level)}")


class Single(NamedTuple):
    """A number of the whole run, found in its summary.

    columns: of the time line, whose sums over seconds it is the ratio of (None: of all seconds); without them
    it has no interval.
    """

    label: str
    unit: str
    path: tuple[str, ...]
    columns: tuple[str, str | None] | None = None


def _of(values: Callable[[Traffic], Any], among: Callable[[Traffic], Mask]) -> Callable[[Traffic], Sums]:
    """The mean of `values` over the requests in `among`."""

    def sums(traffic: Traffic) -> Sums:
        mask, each = among(traffic), np.asarray(values(traffic))
        return (each & mask if each.dtype == bool else np.where(mask, each.astype(np.float64), 0.0)), mask

    return sums


def _column(name: str) -> Callable[[Traffic], Floats]:
    return lambda traffic: traffic.column(name).astype(np.float64, copy=False)


def _columns(parts: str, wholes: str) -> Callable[[Traffic], Sums]:
    return lambda traffic: (_column(parts)(traffic), _column(wholes)(traffic))


def _everyone(traffic: Traffic) -> Mask:
    return np.ones(traffic.count, dtype=bool)


def _decided(traffic: Traffic) -> Mask:
    return traffic.column("is_decided")


def _sent(traffic: Traffic) -> Mask:
    return traffic.column("deferred")


def _answered(traffic: Traffic) -> Mask:
    return np.asarray(~np.isnan(traffic.column("final_s")))


def _judged(traffic: Traffic) -> Mask:
    return np.asarray(traffic.held_out & traffic.column("server_known"))


def _in_outages(traffic: Traffic) -> Mask:
    return np.asarray(traffic.held_out & traffic.in_outages)


def _by_server(traffic: Traffic) -> Mask:
    return traffic.is_answered_by("server")


def _gain(traffic: Traffic) -> Floats:
    return np.asarray(traffic.correct - _column("client_right")(traffic))


def realised_risk(traffic: Traffic) -> Floats:
    """The generalised 0-1 loss of each request as it was paid (DESIGN §6), under the run's own costs."""
    return _risk(traffic, traffic.paid)


def risk_of(traffic: Traffic, c_e: float) -> Floats:
    """The same had a charged attempt cost `c_e`."""
    return _risk(traffic, c_e * _column("charged")(traffic))


def _risk(traffic: Traffic, paid: Floats) -> Floats:
    weight = np.where(_by_server(traffic), float(traffic.run.scenario["costs"]["c_1"]), 1.0)
    return np.asarray(paid + weight * (1.0 - traffic.correct))


def local_risk(traffic: Traffic) -> Floats:
    """What each request would have paid had it not been sent."""
    return np.asarray(1.0 - _column("client_right")(traffic))


def remote_risk(traffic: Traffic) -> Floats:
    """What it would have paid had it been sent, and been answered once and in time."""
    wrong = 1.0 - _column("server_right")(traffic)
    return np.asarray(traffic.c_e + float(traffic.run.scenario["costs"]["c_1"]) * wrong)


def oracle_risk(traffic: Traffic) -> Floats:
    """What an oracle that knows both answers would pay for each request."""
    return np.asarray(np.minimum(local_risk(traffic), remote_risk(traffic)))


def _excess(traffic: Traffic) -> Floats:
    return realised_risk(traffic) - oracle_risk(traffic)


def _useful(traffic: Traffic) -> NDArray[Any]:
    return np.asarray(traffic.column("in_time") * traffic.correct)


def _cost(traffic: Traffic) -> Floats:
    return traffic.paid


def _sends(traffic: Traffic) -> Sums:
    attempts = _column("attempts")(traffic)
    return attempts, attempts > 0


def _outcome(name: str) -> Callable[[Traffic], Mask]:
    return lambda traffic: traffic.is_outcome(name)


def _known(traffic: Traffic) -> Mask:
    return traffic.known


def _held_out(traffic: Traffic) -> Mask:
    return traffic.held_out


def _correct(traffic: Traffic) -> NDArray[Any]:
    return traffic.correct


def _short(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else name[: MOST_LETTERS - 1] + "…"


def label_within(key: str, group: str) -> str:
    """What a measure of one group is called."""
    kept = key in PERCENTILES  # whose level stands behind the comma
    label = MEASURES[key].label
    return f"{_short(group)}: {label if kept else label.split(',')[0]}"


RATIOS = {
    "accuracy": Ratio("accuracy, held-out", "share", _of(_correct, _held_out)),
    "accuracy_in_outages": Ratio("accuracy in outages", "share", _of(_correct, _in_outages)),
    "gain": Ratio("gain over client accuracy", "share", _of(_gain, _held_out)),
    "deferral_rate": Ratio("deferral rate", "share", _of(_sent, _decided)),
    "remote_answer_rate": Ratio("answered by the server", "share", _of(_by_server, _known), in_time=True),
    "timed_out": Ratio("timed out", "share", _of(_outcome("timed_out"), _known), in_time=True),
    "refused": Ratio("refused", "share", _of(_outcome("refused"), _known), in_time=True),
    "risk": Ratio("generalised risk", "loss", _of(realised_risk, _judged)),
    "risk_excess": Ratio("risk above the oracle's", "loss", _of(_excess, _judged)),
    "latency_mean": Ratio("latency, mean", "s", _of(_column("final_s"), _answered), in_time=True),
    "answered": Ratio("got an answer", "share", _of(_answered, _known), in_time=True),
    "answered_in_time": Ratio("answered in time", "share", _of(_column("in_time"), _known), in_time=True),
    "served_in_time": Ratio("served in time", "share", _of(served_in_time, _known), in_time=True),
    "goodput": Ratio(
        "goodput: right and in time", "1/s", _of(_useful, _everyone), per_second=True, in_time=True
    ),
    "cost": Ratio("cost per request", "loss", _of(_cost, _everyone), in_time=True),
    "amplification": Ratio("sends per sent request", "ratio", _sends, in_time=True),
    "bytes_up": Ratio("payload up per request", "bytes", _of(_column("bytes_up"), _everyone), in_time=True),
    "service": Ratio("replica time per request", "s", _of(_column("service_s"), _everyone), in_time=True),
    "wasted": Ratio("wasted share of replica time", "share", _columns("wasted_s", "service_s"), in_time=True),
}
MOST_LETTERS = 10  # of a group's name where a table has no room for more
OF_GROUPS = (  # what runs are compared by group for group
    "accuracy",
    "gain",
    "deferral_rate",
    "timed_out",
    "refused",
    "latency_mean",
    "latency_p95",
    "answered_in_time",
    "served_in_time",
    "cost",
)
PERCENTILES = {
    f"latency_p{round(100 * level)}": Percentile(f"latency, p{round(100 * level)}", "s", level)
    for level in (0.5, 0.95, 0.99)
}
SINGLES = {
    "offered_load": Single("offered load", "ratio", ("load", "offered")),
    "utilisation": Single(
        "utilisation", "share", ("load", "utilisation"), ("busy_replicas_mean", "usable_replicas_mean")
    ),
    "queue_mean": Single("waiting, mean", "requests", ("queue", "mean"), ("waiting_mean", None)),
    "queue_max": Single("waiting, most", "requests", ("queue", "max")),
    "spend": Single("spend", "money", ("cost", "spend")),
    "answered_in_outages": Single(
        "got an answer, in outages", "share", ("outages", "during_any", "answered_share")
    ),
    "usable_share": Single("time with a usable replica", "share", ("availability", "usable_share")),
    "worst_decile": Single("accuracy, worst decile", "share", ("fairness", "worst_decile_shrunk")),
    "jain": Single("fairness of accuracy (Jain)", "ratio", ("fairness", "jain")),
}
MEASURES: dict[str, Ratio | Percentile | Single] = RATIOS | PERCENTILES | SINGLES

# Where the summary holds the same numbers, for who reads summaries of many runs and not their requests.
IN_SUMMARY: dict[str, tuple[str, ...]] = {
    "accuracy": ("accuracy", "held_out", "all"),
    "accuracy_in_outages": ("outages", "during_any", "accuracy"),
    "gain": ("accuracy", "held_out", "gain"),
    "deferral_rate": ("rates", "deferral_rate"),
    "remote_answer_rate": ("rates", "remote_answer_rate"),
    "timed_out": ("outages", "whole_run", "timed_out_share"),
    "refused": ("outages", "whole_run", "refused_share"),
    "risk": ("risk", "realised"),
    "risk_excess": ("risk", "excess"),
    "latency_mean": ("latency_s", "final", "mean"),
    "answered": ("outages", "whole_run", "answered_share"),
    "answered_in_time": ("goodput", "answered_in_time_share"),
    "served_in_time": ("goodput", "served_in_time_share"),
    "goodput": ("goodput", "correct_in_time_hz"),
    "cost": ("cost", "per_request"),
    "amplification": ("retries", "amplification"),
    "bytes_up": ("wire", "bytes_up_per_request"),
    "wasted": ("work", "wasted_share"),
} | {name: one.path for name, one in (PERCENTILES | SINGLES).items()}

IN_TIME = (  # paths of numbers that are no measures, but alike in this
    "latency_s.",
    "queue.",
    "goodput.",
    "counts.",
    "work.",
    "retries.",
    "wire.",
    "cost.",
    "energy.",
    "calls.",
    "rates.remote_answer_rate",
    "rates.answered_if_sent",
    "availability.answered_in_time_if_sent",
)
BY_ANSWERS = ("accuracy", "client_accuracy", "deferral_rate", "value", "requests")  # of parts, which are not


OF_PARTS = tuple(f"{section}." for section in (*OF_WHOM, "outages"))


def is_in_time(name: str) -> bool:
    """Whether a measure, or the number at a path, is what requests have in common with their neighbours in
    time, so that it takes long runs to tell it."""
    name = name.removeprefix("intervals.")
    measure = MEASURES.get(name)
    if isinstance(measure, Ratio):
        return measure.in_time
    if isinstance(measure, Single):
        return measure.columns is not None
    of_part = name.startswith(OF_PARTS) and name.rpartition(".")[2] not in BY_ANSWERS
    return isinstance(measure, Percentile) or name.startswith(IN_TIME) or of_part
