"""Regret: what a policy paid more than the threshold would have that was best in hindsight.
Of the requests of a run; studies draw it over time (`analysis.reports.regret`), see
`docs/online_policies.md`."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.metrics.measures import local_risk, realised_risk, remote_risk
from analysis.run_folder.files import part_paths
from analysis.run_folder.kept_rows import read_requests
from analysis.run_folder.outages import hits
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Floats, Mask, Traffic, traffic_of


def best_threshold(score: Floats, kept: Floats, sent: Floats) -> float:
    """The threshold that would have cost least: ±inf or one of the scores, what is above it being sent.

    score, kept, sent: (n,), of each request its score, and what keeping and sending it cost.
    """
    order = np.argsort(score, kind="stable")
    in_order = score[order]
    cost = np.concatenate(
        [[0.0], np.cumsum((kept - sent)[order])]
    )  # of keeping the first k, beside sending all
    is_end = np.concatenate([[True], in_order[1:] != in_order[:-1], [True]])
    place = int(np.argmin(np.where(is_end, cost, np.inf)))
    if place == len(score):
        return np.inf
    return float(in_order[place - 1]) if place else -np.inf


def regret_of(run: Run) -> pd.DataFrame:
    """What each counted request whose outcome and answers are known paid more than in hindsight it need have.

    Columns arrived_at_s, group and regret (loss), in order of arrival; regret below 0 is luck. In hindsight a
    group sends what lies above the one threshold that is best for it over the whole run, and nothing while
    the server, or the way to it, is down: an oracle in two ways. What it sends is answered, in time and once.
    """
    traffic = traffic_of(run)
    requests = traffic.requests
    known = traffic.known & np.asarray(requests["server_known"] & requests["is_decided"])
    score, down = _scores(run, requests["request_id"].to_numpy()), _is_down(traffic)
    kept, sent = local_risk(traffic), remote_risk(traffic)
    least = kept.copy()
    for name in run.groups:
        mine = known & np.asarray(requests["group"] == name) & ~down
        if mine.any():
            least[mine & (score > best_threshold(score[mine], kept[mine], sent[mine]))] = np.nan
    least = np.where(np.isnan(least), sent, least)
    found = pd.DataFrame(requests[["arrived_at_s", "group"]]).assign(regret=realised_risk(traffic) - least)
    counted: pd.DataFrame = found.loc[known].reset_index(drop=True)
    return counted


def _is_down(traffic: Traffic) -> Mask:
    """Which requests came while none of their sends could have been answered: while the way to the servers is
    down, or every server that they may ask."""
    run, at_s, found = traffic.run, traffic.arrived_at_s, traffic.on_own_outage.copy()
    are_down = {name: np.zeros(at_s.size, dtype=bool) for name in run.servers}
    for outage in traffic.outages:
        is_on = (at_s >= outage.from_s) & (at_s < outage.to_s)
        if outage.groups and outage.slower is None:
            found |= is_on & traffic.could_touch(outage)
        elif outage.stops_a_server:
            for name in run.servers:
                are_down[name] |= is_on & hits(run, outage, name)
    for name, options in run.options.items():
        mine = np.asarray(traffic.requests["group"] == name)
        found |= mine & np.all([are_down[one["server"]] for one in options], axis=0)
    return found


def _scores(run: Run, request_id: NDArray[np.int64]) -> Floats:
    """The scores of requests, (n,), which nothing else of a run's numbers needs."""
    tables = [
        read_requests(
            run,
            path,
            run.columns_of_requests(run.has_options),
            ["request_id", "score"],
        )
        for path in part_paths(run.path, "requests", needed=False)
    ]
    ids = np.concatenate([table["request_id"].to_numpy() for table in tables] or [np.zeros(0, np.int64)])
    scores = np.concatenate([table["score"].to_numpy() for table in tables] or [np.zeros(0)])
    order = np.argsort(ids)
    found: Floats = scores[order][np.searchsorted(ids[order], request_id)].astype(float)
    return found
