"""The traffic that a summary speaks about: what arrived after the warm-up, as columns ready to count.
Stands between the run folder and the metrics, so that each metric is a few lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.outages import Outage, find_outages, usable_steps
from analysis.resampling import Resampling, resampling
from analysis.run import Run
from sim.errors import BadInput

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Traffic:
    """Requests that arrived in [warm-up, horizon) with what became of them.

    requests: columns of sim.columns and base_id, `deadline_s` (inf: none), `client_right`,
    `server_right`, `server_known` (its answer to this sample is on record) and `charged` (attempts);
    attempts: one row each, first ones included, with `wasted` (its answer was not the one given, and
    that is known) and `service_s` (its equal share of the batch's time); timeline: the seconds after the
    warm-up.
    """

    run: Run
    requests: pd.DataFrame
    attempts: pd.DataFrame
    timeline: pd.DataFrame
    outages: tuple[Outage, ...]
    resampling: Resampling

    def is_outcome(self, name: str) -> Mask:
        return np.asarray(self.requests["outcome"] == name)

    def is_answered_by(self, name: str) -> Mask:
        return np.asarray(self.requests["answered_by"] == name)

    @property
    def known(self) -> Mask:
        """Whose outcome is known: all but those in flight at the horizon."""
        return np.asarray(self.requests["outcome"] != "in_flight")

    @property
    def held_out(self) -> Mask:
        """Held-out requests with a known outcome: the mask of every accuracy, and of what is beside it."""
        return np.asarray(self.known & self.requests["held_out"])

    def distinct(self, column: str) -> int:
        """How many different values `column` has among the held-out requests."""
        return int(self.requests.loc[self.held_out, column].nunique())

    @property
    def other_half(self) -> Mask:
        """Requests on the other traffic samples, again with a known outcome."""
        return np.asarray(self.known & ~self.requests["held_out"])

    @property
    def correct(self) -> Mask:
        return np.asarray(self.requests["correct"], dtype=bool)

    @property
    def arrived_at_s(self) -> Floats:
        return self.requests["arrived_at_s"].to_numpy(dtype=float)


def traffic_of(run: Run) -> Traffic:
    """The part of a run after its warm-up."""
    everything = _with_verdicts(run, run.requests)
    requests = everything[everything["arrived_at_s"] >= run.warm_up_s].reset_index(drop=True)
    draws = resampling(
        int(run.scenario["seed"]),
        requests["client_id"].to_numpy(dtype=np.int64),
        requests["base_id"].to_numpy(dtype=np.int64),
    )
    timeline = run.timeline[run.timeline["at_s"] >= run.warm_up_s].reset_index(drop=True)
    return Traffic(
        run, requests, _all_attempts(run, requests), timeline, find_outages(run.events, run.horizon_s), draws
    )


def _with_verdicts(run: Run, requests: pd.DataFrame) -> pd.DataFrame:
    """The requests with their group's deadline, the rightness of both models, and charged attempts."""
    deadlines = {
        name: np.inf if group["deadline_s"] is None else float(group["deadline_s"])
        for name, group in run.groups.items()
    }
    return requests.assign(
        deadline_s=requests["group"].astype("str").map(deadlines).to_numpy(dtype=float),
        client_right=requests["client_label"] == requests["label"],
        server_right=requests["server_label"] == requests["label"],
        server_known=requests["server_label"] >= 0,
        charged=_charged(run, requests),
    )


def _charged(run: Run, requests: pd.DataFrame) -> Floats:
    """Charged attempts per request: the cost in units of c_e, which is stored in single precision.

    Where c_e is 0 the cost does not tell; then every attempt counts, as `charge_on: send` has it.
    """
    c_e = float(run.scenario["costs"]["c_e"])
    if c_e > 0:
        return np.rint(requests["cost"].to_numpy(dtype=float) / c_e)
    return requests["attempts"].to_numpy(dtype=float)


ATTEMPT = ["request_id", "sent_at_s", "started_at_s", "finished_at_s", "replica", "batch_size"]


def _all_attempts(run: Run, requests: pd.DataFrame) -> pd.DataFrame:
    """One row per attempt of `requests`: from their own rows where there was one, else from the attempts."""
    single = requests[requests["attempts"] == 1]
    several = requests[requests["attempts"] > 1]
    listed = run.attempts[run.attempts["request_id"].isin(several["request_id"])]
    made = int(several["attempts"].sum())
    if len(listed) != made:
        raise BadInput(f"{run.path / 'attempts'}: {len(listed)} rows for {made} attempts; parts are missing")
    attempts = pd.concat([single[ATTEMPT], listed[ATTEMPT]], ignore_index=True)
    of = requests.set_index("request_id").loc[attempts["request_id"]]
    # A request's own row keeps the times of the attempt whose answer was given, so equality identifies it.
    is_used = (np.asarray(of["outcome"] == "remote")) & (
        of["sent_at_s"].to_numpy() == attempts["sent_at_s"].to_numpy()
    )
    return attempts.assign(
        wasted=~is_used & np.asarray(of["outcome"] != "in_flight"),
        service_s=_service_shares(run, attempts),
    )


def _service_shares(run: Run, attempts: pd.DataFrame) -> Floats:
    """Seconds of a replica's time that each attempt took: its batch's time over the batch's size.

    A batch that an outage cut short has no finish; it ends where its replica stopped being usable.
    """
    started = attempts["started_at_s"].to_numpy(dtype=float)
    finished = attempts["finished_at_s"].to_numpy(dtype=float).copy()
    replica = attempts["replica"].to_numpy(dtype=float)
    cut = np.isnan(finished) & ~np.isnan(started)
    at_s, usable = usable_steps(run)
    for index in np.unique(replica[cut]):
        stops = np.append(at_s[usable <= index], run.horizon_s)
        members = cut & (replica == index)
        finished[members] = stops[
            np.minimum(np.searchsorted(stops, started[members], "right"), stops.size - 1)
        ]
    size = np.maximum(attempts["batch_size"].to_numpy(dtype=float), 1.0)
    shares: Floats = np.nan_to_num(np.maximum(finished - started, 0.0) / size)
    return shares


def ratio(part: float | np.generic, whole: float | np.generic) -> float | None:
    """part / whole, or None where there is nothing to divide by."""
    return float(part) / float(whole) if float(whole) > 0 else None


def share(hits: Mask, among: Mask) -> float | None:
    """The share of `hits` among the requests in `among`, without an interval."""
    return ratio((hits & among).sum(), among.sum())
